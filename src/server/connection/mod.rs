//! One connection: a reader that takes requests up in order and a writer that answers in order,
//! both in one task, so that passing a request on wakes nobody.
//!
//! Invariant: replies leave in the order of their requests, each whole; when one cannot be sent
//! whole, nothing follows it.

mod ended;
mod in_flight;
mod reader;
mod watchdog;
mod writer;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use rustix::net::sockopt;
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use self::ended::Ended;
use self::in_flight::InFlight;
use self::reader::Reader;
use self::watchdog::Progress;
use self::writer::{Queued, Writer};
use super::limits::Limits;
use super::{Shared, Stop, transport};
use crate::wire::exchange::{ConnectionInfo, Reply, RequestFrame, Service, Started};

/// How long a client may go on sending after it was told that nothing more comes. Closing with
/// unread bytes resets the connection, which can take replies from the client that it has not read.
const LINGER: Duration = Duration::from_secs(1);
const LINGER_BYTES: usize = 64 * 1024;

/// Serves a connection to its end.
pub(super) async fn serve<S: Service>(
    stream: TcpStream,
    info: Arc<ConnectionInfo>,
    shared: Arc<Shared<S>>,
    stop: Stop,
) {
    if let Err(error) = set_options(&stream, &shared.limits) {
        tracing::debug!(connection = info.id.0, %error, "cannot set the socket's options");
    }
    let ended = exchange(stream, &info, &shared, &stop).await;
    shared.metrics.close(ended.label());
    let (connection, peer) = (info.id.0, info.peer);
    if ended.is_ours() {
        tracing::error!(connection, %peer, reason = ended.label(), "connection closed: {ended}");
    } else if ended.is_unusual() {
        tracing::warn!(connection, %peer, reason = ended.label(), "connection closed: {ended}");
    } else {
        tracing::debug!(connection, %peer, reason = ended.label(), "connection closed: {ended}");
    }
}

fn set_options(stream: &TcpStream, limits: &Limits) -> io::Result<()> {
    // Replies are written whole, so there is nothing to gain by waiting for more.
    stream.set_nodelay(true)?;
    // A client that vanished while its long poll waits would otherwise keep its place.
    sockopt::set_socket_keepalive(stream, true)?;
    if let Some(bytes) = limits.receive_buffer_bytes {
        sockopt::set_socket_recv_buffer_size(stream, bytes)?;
    }
    if let Some(bytes) = limits.send_buffer_bytes {
        sockopt::set_socket_send_buffer_size(stream, bytes)?;
    }
    Ok(())
}

async fn exchange<S: Service>(
    stream: TcpStream,
    info: &Arc<ConnectionInfo>,
    shared: &Shared<S>,
    stop: &Stop,
) -> Ended {
    let limits = &shared.limits;
    let in_flight = Arc::new(InFlight::new(limits));
    let progress = Arc::new(Progress::new(Arc::clone(&in_flight)));
    let (incoming, outgoing) = transport::split(stream);
    let mut reader = Reader::new(
        incoming,
        limits.frame_bytes_max,
        Arc::clone(&shared.memory),
        Arc::clone(&progress),
        shared.metrics.clone(),
    );
    let (queue, queued) = mpsc::channel(limits.in_flight_requests_max);
    let delivery = Arc::clone(&shared.delivery);
    let mut writer = Writer::new(outgoing, queued, delivery, Arc::clone(&progress));
    let gently = &stop.gently;
    let ended = tokio::select! {
        ended = converse(&mut reader, &mut writer, queue, &in_flight, info, shared, gently) => ended,
        ended = progress.watch(limits) => ended,
        () = stop.at_once.cancelled() => {
            let after = Box::new(Ended::Shutdown);
            return Ended::DrainTimeout { timeout: limits.drain_timeout, after };
        }
    };
    if matches!(ended, Ended::Shutdown | Ended::Service(_)) {
        linger(&mut reader, &mut writer).await;
    }
    ended
}

/// Reads and answers until one of both ends; answers in flight may still be sent when it was the
/// reading.
async fn converse<S: Service>(
    reader: &mut Reader,
    writer: &mut Writer,
    queue: mpsc::Sender<Queued>,
    in_flight: &Arc<InFlight>,
    info: &Arc<ConnectionInfo>,
    shared: &Shared<S>,
    stop: &CancellationToken,
) -> Ended {
    let reading = take_up(reader, queue, in_flight, info, shared, stop);
    let mut writing = std::pin::pin!(writer.run());
    let ended = tokio::select! {
        biased;
        ended = reading => ended,
        result = &mut writing => {
            return result.expect_err("the queue is open as long as there is a reader");
        }
    };
    let timeout = shared.limits.drain_timeout;
    match tokio::time::timeout(timeout, writing).await {
        Ok(Ok(())) => ended,
        Ok(Err(worse)) => worse,
        Err(_) => Ended::DrainTimeout { timeout, after: Box::new(ended) },
    }
}

/// Takes requests up until there are no more.
async fn take_up<S: Service>(
    reader: &mut Reader,
    queue: mpsc::Sender<Queued>,
    in_flight: &Arc<InFlight>,
    info: &Arc<ConnectionInfo>,
    shared: &Shared<S>,
    stop: &CancellationToken,
) -> Ended {
    let mut stopped = std::pin::pin!(stop.cancelled());
    loop {
        let next = async {
            let bytes = reader.next().await?;
            let admitted = in_flight.admit(bytes.len()).await;
            Ok((bytes, admitted))
        };
        let (bytes, mut admitted) = tokio::select! {
            biased;
            () = &mut stopped => return Ended::Shutdown,
            next = next => match next {
                Ok(next) => next,
                Err(ended) => return ended,
            },
        };
        let frame = RequestFrame { bytes, connection: Arc::clone(info) };
        let started = shared.service.start(frame).await;
        if let Started::Ready(Reply::Frame(reply)) = &started {
            admitted.answered(reply.head.len());
        }
        let last = matches!(started, Started::Ready(Reply::Close(_)));
        // The queue has a place for every admitted request.
        if queue.send(Queued { started, admitted }).await.is_err() || last {
            // What the writer ends with is the reason.
            return std::future::pending().await;
        }
    }
}

/// Ends the stream to the client and reads on for a while, into nothing.
async fn linger(reader: &mut Reader, writer: &mut Writer) {
    writer.finish();
    // Running into the limit is as good an end as the client's own.
    let _ = tokio::time::timeout(LINGER, reader.discard(LINGER_BYTES)).await;
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn the_kernels_buffers_have_the_size_that_was_set() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let stream = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let limits = Limits {
            receive_buffer_bytes: Some(40_000),
            send_buffer_bytes: Some(30_000),
            ..Limits::default()
        };
        set_options(&stream, &limits).unwrap();
        // Linux doubles what it is asked for, to have room for its own bookkeeping.
        assert_eq!(sockopt::socket_recv_buffer_size(&stream).unwrap(), 80_000);
        assert_eq!(sockopt::socket_send_buffer_size(&stream).unwrap(), 60_000);
    }
}
