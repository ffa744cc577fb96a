//! Whether a component answers: one small request over HTTP.

use std::io::{Read as _, Write as _};
use std::net::{Ipv4Addr, TcpStream};
use std::time::Duration;

const PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: u64 = 1 << 20;

/// The whole answer to a GET of `path`, head and body.
pub(super) fn get(port: u16, path: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes())?;
    let mut answer = String::new();
    stream.take(ANSWER_BYTES_MAX).read_to_string(&mut answer)?;
    Ok(answer)
}

/// Whether a GET of `path` is answered with success.
pub(super) fn is_well(port: u16, path: &str) -> bool {
    get(port, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 2"))
}

/// Whether a GET of `path` is answered at all.
pub(super) fn answers(port: u16, path: &str) -> bool {
    get(port, path).is_ok_and(|answer| answer.starts_with("HTTP/1.1 "))
}
