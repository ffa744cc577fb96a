//! How much of one connection is being answered.
//!
//! Reader and writer of a connection share it: the reader waits in [`InFlight::admit`], the writer
//! lets requests go by dropping their [`Admitted`] once the reply is sent.

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::Notify;

use super::super::limits::Limits;

#[derive(Debug)]
pub(super) struct InFlight {
    requests_max: usize,
    bytes_max: usize,
    reply_bytes_max: usize,
    now: Mutex<Load>,
    lower: Notify,
}

#[derive(Debug, Default)]
struct Load {
    requests: usize,
    bytes: usize,
    reply_bytes: usize,
}

/// One request that is being answered.
#[derive(Debug)]
pub(super) struct Admitted {
    bytes: usize,
    reply_bytes: usize,
    in_flight: Arc<InFlight>,
}

impl InFlight {
    pub(super) fn new(limits: &Limits) -> Self {
        Self {
            requests_max: limits.in_flight_requests_max,
            bytes_max: limits.in_flight_bytes_max,
            reply_bytes_max: limits.in_flight_reply_bytes_max,
            now: Mutex::default(),
            lower: Notify::new(),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.now.lock().requests == 0
    }

    /// Waits until the limits have room for a frame of `bytes`. One that no limit would ever have
    /// room for is admitted when it is alone.
    pub(super) async fn admit(self: &Arc<Self>, bytes: usize) -> Admitted {
        while !self.try_add(bytes) {
            // One reader only, so the permit that `drop` leaves is never another's.
            self.lower.notified().await;
        }
        Admitted { bytes, reply_bytes: 0, in_flight: Arc::clone(self) }
    }

    fn try_add(&self, bytes: usize) -> bool {
        let mut now = self.now.lock();
        let room = now.requests < self.requests_max
            && now.bytes + bytes <= self.bytes_max
            && now.reply_bytes < self.reply_bytes_max;
        if room || now.requests == 0 {
            now.requests += 1;
            now.bytes += bytes;
            return true;
        }
        false
    }
}

impl Admitted {
    /// Notes that a reply of `bytes` waits in memory until the client takes it.
    pub(super) fn answered(&mut self, bytes: usize) {
        self.reply_bytes += bytes;
        self.in_flight.now.lock().reply_bytes += bytes;
    }
}

impl Drop for Admitted {
    fn drop(&mut self) {
        let mut now = self.in_flight.now.lock();
        now.requests -= 1;
        now.bytes -= self.bytes;
        now.reply_bytes -= self.reply_bytes;
        drop(now);
        self.in_flight.lower.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    fn in_flight(requests_max: usize, bytes_max: usize) -> Arc<InFlight> {
        Arc::new(InFlight {
            requests_max,
            bytes_max,
            reply_bytes_max: 50,
            now: Mutex::default(),
            lower: Notify::new(),
        })
    }

    #[test]
    fn a_request_waits_for_room_by_count_and_by_bytes() {
        let flight = in_flight(2, 100);
        let first = flight.admit(60).now_or_never().unwrap();
        assert!(flight.admit(60).now_or_never().is_none(), "too many bytes");
        let second = flight.admit(40).now_or_never().unwrap();
        assert!(flight.admit(0).now_or_never().is_none(), "too many requests");
        drop(first);
        let third = flight.admit(60).now_or_never().unwrap();
        drop((second, third));
        assert!(flight.is_empty());
    }

    #[test]
    fn a_client_that_takes_no_replies_gets_no_more_made() {
        let flight = in_flight(10, 100);
        let mut first = flight.admit(1).now_or_never().unwrap();
        first.answered(49);
        let mut second = flight.admit(1).now_or_never().unwrap();
        second.answered(1);
        assert!(flight.admit(1).now_or_never().is_none(), "too many bytes of replies");
        drop(first);
        assert!(flight.admit(1).now_or_never().is_some());
    }

    #[test]
    fn a_frame_beyond_the_limit_is_admitted_alone() {
        let flight = in_flight(2, 100);
        let large = flight.admit(1000).now_or_never().unwrap();
        assert!(flight.admit(1).now_or_never().is_none());
        drop(large);
        assert!(flight.admit(1).now_or_never().is_some());
    }
}
