//! This broker as the owner of its cluster's objects: one at a time.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use icecore_tiering::{
    MetaError, OwnerError, OwnerIdentity, Ownership, TakeOver, Tiering, VouchError,
};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use super::observe::Observer;
use super::start_error::StartError;
use super::store_wait::until_reachable;

/// How long the last record may hold up an orderly end.
const RELEASE: Duration = Duration::from_secs(5);

/// Names a data directory's broker for people.
pub(super) fn identity(instance: String, address: Option<SocketAddr>) -> OwnerIdentity {
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname");
    let host = host.map_or_else(|_| "an unknown host".to_owned(), |name| name.trim().to_owned());
    let process = std::process::id();
    let holder = match address {
        Some(address) => format!("the broker at {address} on {host}, process {process}"),
        None => format!("a tool on {host}, process {process}"),
    };
    OwnerIdentity { instance, holder }
}

/// Becomes the owner; a store that is out of reach is waited for.
pub(super) async fn own(
    tiering: &Arc<Tiering>,
    identity: OwnerIdentity,
    observer: &Observer,
) -> Result<Ownership, StartError> {
    let ask = || tiering.own(identity.clone(), TakeOver::Never, &|_, _| ());
    let owned = until_reachable(observer, may_pass, ask).await;
    owned.map_err(|source| StartError::Owner { source })
}

fn may_pass(error: &OwnerError) -> bool {
    use icecore_tiering::MarkerError;
    match error {
        OwnerError::Meta(MetaError::Store(error))
        | OwnerError::Meta(MetaError::Vouch(VouchError::Marker(MarkerError::Store(error)))) => {
            error.may_pass()
        }
        _ => false,
    }
}

/// Keeps the ownership as long as the broker runs. Dropped, it says that the broker ended, as far as
/// there is time for that.
pub(super) struct OwnerTask {
    stop: CancellationToken,
    running: Option<JoinHandle<Result<(), OwnerError>>>,
}

impl OwnerTask {
    /// Starts; `deposed` is cancelled when another broker took over.
    pub(super) fn start(ownership: Ownership, deposed: CancellationToken) -> Self {
        let stop = CancellationToken::new();
        let keep = ownership.keep(stop.clone());
        let running = tokio::spawn(async move {
            let kept = keep.await;
            if let Err(error @ (OwnerError::Held { .. } | OwnerError::Unreadable { .. })) = &kept {
                tracing::error!(%error, "this broker ends: the store is not its own any more");
                deposed.cancel();
            }
            kept
        });
        Self { stop, running: Some(running) }
    }

    /// Says that the broker ended in order.
    ///
    /// # Errors
    /// [`StartError::Deposed`] when another broker took over.
    pub(super) async fn end(mut self) -> Result<(), StartError> {
        self.stop.cancel();
        let Some(running) = self.running.take() else { return Ok(()) };
        match tokio::time::timeout(RELEASE, running).await {
            Ok(Ok(Err(source @ (OwnerError::Held { .. } | OwnerError::Unreadable { .. })))) => {
                Err(StartError::Deposed { source })
            }
            Ok(Ok(Ok(()))) => Ok(()),
            Ok(Ok(Err(error))) => {
                tracing::warn!(%error, "the store was not told of the end");
                Ok(())
            }
            Ok(Err(_)) | Err(_) => {
                tracing::warn!("the store was not told of the end in time");
                Ok(())
            }
        }
    }
}

impl Drop for OwnerTask {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}
