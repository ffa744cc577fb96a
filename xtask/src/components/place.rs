//! Where a component runs: on this machine, or where another network is reached.

use std::ffi::OsStr;
use std::process::{Command, Stdio};

/// How long an answer may take, in seconds.
const ASK_SECONDS: &str = "5";

/// A way in, and the address that components listen on there.
#[derive(Clone, Debug)]
pub(crate) struct Place {
    way_in: Vec<String>,
    address: String,
}

impl Place {
    /// This machine's loopback.
    pub(crate) fn here() -> Self {
        Self { way_in: Vec::new(), address: "127.0.0.1".to_owned() }
    }

    /// `way_in` is a command that runs the one that follows it, and empty for this machine.
    pub(crate) fn new(way_in: &str, address: &str) -> Self {
        let way_in = way_in.split_whitespace().map(str::to_owned).collect();
        Self { way_in, address: address.to_owned() }
    }

    /// Where what runs there is reached.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// A command that runs there.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let Some((first, rest)) = self.way_in.split_first() else { return Command::new(program) };
        let mut command = Command::new(first);
        command.args(rest).arg(program);
        command
    }

    /// Whether something listens on a port there.
    pub(crate) fn listens(&self, port: u16) -> bool {
        let mut shell = self.command("bash");
        shell.arg("-c").arg(format!(": </dev/tcp/{}/{port}", self.address));
        shell.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        shell.status().is_ok_and(|status| status.success())
    }

    /// The whole answer, head and body, to a request without a body; `None` when there is none in time.
    pub(crate) fn ask(&self, port: u16, method: &str, path: &str) -> Option<String> {
        let request = format!(
            "{method} {path} HTTP/1.1\\r\\nHost: {}\\r\\nContent-Length: 0\\r\\nConnection: close\\r\\n\\r\\n",
            self.address
        );
        let script =
            format!("exec 3<>/dev/tcp/{}/{port}; printf '{request}' >&3; cat <&3", self.address);
        let mut shell = self.command("timeout");
        shell.args([ASK_SECONDS, "bash", "-c", &script]).stdin(Stdio::null());
        let answer = shell.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(answer.stdout).ok()
    }
}
