//! A member of a group.

use bytes::Bytes;
use tokio::sync::oneshot;

use crate::coordinator::ask::{JoinAsk, JoinRefused, Joined, Synced};
use crate::wire::ErrorCode;

/// Where the answer to a join goes.
pub(in crate::coordinator) type JoinReply = oneshot::Sender<Result<Joined, JoinRefused>>;
/// Where the answer to a sync goes.
pub(in crate::coordinator) type SyncReply = oneshot::Sender<Result<Synced, ErrorCode>>;

/// How long a new member may wait for its first generation without being heard: its client may be
/// gone, and nothing else would tell.
const NEW_MEMBER_WAIT_MS: i64 = 300_000;

/// A member.
#[derive(Debug)]
pub(in crate::coordinator) struct Member {
    pub(in crate::coordinator) instance_id: Option<String>,
    pub(in crate::coordinator) client_id: String,
    pub(in crate::coordinator) client_host: String,
    pub(in crate::coordinator) rebalance_timeout_ms: i32,
    pub(in crate::coordinator) session_timeout_ms: i32,
    pub(in crate::coordinator) protocols: Vec<(String, Bytes)>,
    pub(in crate::coordinator) assignment: Bytes,
    /// It has not been in a generation yet.
    pub(super) is_new: bool,
    /// It has asked for its assignment in this generation.
    pub(super) synced: bool,
    /// When it is taken for dead.
    pub(super) expires: i64,
    pub(super) joining: Option<JoinReply>,
    pub(super) syncing: Option<SyncReply>,
}

impl Member {
    pub(super) fn new(ask: JoinAsk, reply: JoinReply, tick_ms: i64) -> Self {
        Self {
            instance_id: ask.instance_id,
            client_id: ask.client_id,
            client_host: ask.client_host,
            rebalance_timeout_ms: ask.rebalance_timeout_ms,
            session_timeout_ms: ask.session_timeout_ms,
            protocols: ask.protocols,
            assignment: Bytes::new(),
            is_new: true,
            synced: false,
            expires: tick_ms + NEW_MEMBER_WAIT_MS,
            joining: Some(reply),
            syncing: None,
        }
    }

    /// Takes over what a member says of itself when it joins again.
    pub(super) fn update(&mut self, ask: JoinAsk) {
        self.client_id = ask.client_id;
        self.client_host = ask.client_host;
        self.rebalance_timeout_ms = ask.rebalance_timeout_ms;
        self.session_timeout_ms = ask.session_timeout_ms;
        self.protocols = ask.protocols;
    }

    /// It lives: its session begins anew.
    pub(super) fn heard(&mut self, tick_ms: i64) {
        self.expires = tick_ms + i64::from(self.session_timeout_ms);
    }

    /// Whether it waits for an answer of ours.
    pub(super) fn is_parked(&self) -> bool {
        self.joining.is_some() || self.syncing.is_some()
    }

    pub(super) fn supports(&self, protocol: &str) -> bool {
        self.protocols.iter().any(|(name, _)| name == protocol)
    }

    /// Its metadata for the chosen protocol; none while none is chosen.
    pub(in crate::coordinator) fn metadata_for(&self, protocol: Option<&str>) -> Bytes {
        let mine = self.protocols.iter().find(|(name, _)| Some(name.as_str()) == protocol);
        mine.map(|(_, metadata)| metadata.clone()).unwrap_or_default()
    }
}
