//! What the proxy is ordered to do.

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde::{Deserialize, Serialize};

/// What happens to a request.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Fault {
    /// It is not passed on, and this is answered.
    Status {
        /// The status.
        status: u16,
        /// A `Retry-After` header.
        retry_after_s: Option<u32>,
    },
    /// It is not passed on, and a web page is answered with 200, as by a proxy that wants a log-in.
    Page,
    /// It is passed on after so long.
    Delay {
        /// How long.
        ms: u64,
    },
    /// It is passed on, and 500 is answered whatever the store says.
    FailAfterwards,
    /// The connection is closed within the body of the answer.
    Cut,
    /// The body is half as long, and says so.
    Short,
    /// One byte of the body is another one.
    WrongByte,
    /// The body comes at so many bytes a second.
    Trickle {
        /// The rate.
        bytes_per_s: u32,
    },
}

/// The next `times` requests of a method that contain all of some texts meet a fault.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// `GET`, `PUT`, ...
    method: String,
    /// Parts of the path with its query.
    contains: Vec<String>,
    fault: Fault,
    times: u32,
}

#[derive(Debug, Default)]
pub(super) struct Orders(Mutex<Vec<Order>>);

impl Orders {
    fn list(&self) -> MutexGuard<'_, Vec<Order>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn add(&self, new: Vec<Order>) {
        self.list().extend(new);
    }

    pub(super) fn left(&self) -> Vec<Order> {
        self.list().clone()
    }

    pub(super) fn clear(&self) {
        self.list().clear();
    }

    /// The fault that a request meets; an order that is used up goes.
    pub(super) fn meets(&self, method: &str, path: &str) -> Option<Fault> {
        let mut list = self.list();
        let met = list.iter_mut().find(|order| {
            order.method == method && order.contains.iter().all(|part| path.contains(part))
        })?;
        met.times = met.times.saturating_sub(1);
        let fault = met.fault.clone();
        list.retain(|order| order.times > 0);
        Some(fault)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_meets_its_requests_as_often_as_it_says_and_no_others() {
        let orders = Orders::default();
        let text = r#"[{"method":"GET","contains":["/b/","x"],"fault":"page","times":2},
            {"method":"PUT","contains":[],"fault":{"status":{"status":503}},"times":1}]"#;
        orders.add(serde_json::from_str(text).unwrap());
        assert!(orders.meets("GET", "/other/x").is_none());
        assert!(orders.meets("HEAD", "/b/x").is_none());
        assert!(matches!(orders.meets("GET", "/b/x?list-type=2"), Some(Fault::Page)));
        assert!(matches!(orders.meets("PUT", "/any"), Some(Fault::Status { status: 503, .. })));
        assert!(orders.meets("PUT", "/any").is_none());
        assert_eq!(orders.left().len(), 1);
        assert!(orders.meets("GET", "/b/x").is_some() && orders.meets("GET", "/b/x").is_none());
    }
}
