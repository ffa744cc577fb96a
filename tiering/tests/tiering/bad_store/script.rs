//! What a bad store is ordered to do, and to which calls.

use std::time::Duration;

/// What a call can be ordered to do instead of its work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// 404.
    NotFound,
    /// 403.
    Denied,
    /// 503 without having done anything.
    Unavailable,
    /// Another status without having done anything.
    Status(u16),
    /// The disk behind the store is full.
    OutOfSpace,
    /// The work is done after so long.
    Slow(Duration),
    /// The work is done, and 503 is answered.
    FailAfterLanding,
    /// The work is done, and "exists already" is answered, as a retry of a create would.
    ExistsAfterLanding,
    /// Nothing is done, and success is answered.
    Pretend,
    /// No answer, ever.
    Hang,
    /// A success whose connection is cut after half of the bytes, or of the names.
    Cut,
    /// A success whose body stops after a few bytes, and neither goes on nor ends.
    Stall,
    /// A success with half of the bytes, or of the names.
    ShortBody,
    /// A success with one byte changed.
    WrongByte,
    /// A list that is empty: a proxy's page.
    Empty,
    /// A list as it was when [`super::BadStore::remember`] was called.
    Stale,
}

/// Which calls a fault meets: of this kind, on names that contain this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Put,
    /// The start of a multipart upload.
    Multipart,
    /// A part of one.
    Part,
    /// Its completion.
    Complete,
    Get,
    Delete,
    List,
}

/// The next `times` calls of a kind on names that contain `name` meet `fault`.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Order {
    pub(crate) call: Call,
    pub(crate) name: &'static str,
    pub(crate) fault: Fault,
    pub(crate) times: usize,
}

#[derive(Debug, Default)]
pub(super) struct Script {
    orders: Vec<Order>,
}

impl Script {
    pub(super) fn add(&mut self, order: Order) {
        self.orders.push(order);
    }

    /// The fault that a call meets; an order is used up by it.
    pub(super) fn meets(&mut self, call: Call, name: &str) -> Option<Fault> {
        let order = self
            .orders
            .iter_mut()
            .find(|order| order.call == call && name.contains(order.name) && order.times > 0)?;
        order.times -= 1;
        Some(order.fault)
    }

    /// Calls that are still to meet a fault.
    pub(super) fn left(&self) -> usize {
        self.orders.iter().map(|order| order.times).sum()
    }
}
