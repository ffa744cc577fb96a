//! Settings of brokers that change while they run: stored first, then in force, then in the image.

use std::sync::Arc;

use super::controller::{Controller, SettingsChange};
use crate::config::{
    AlterError, BrokerConfig, BrokerOverrides, BrokerScope, ConfigError, RuntimeSettings,
};
use crate::metadata::MetaStoreError;
use crate::pace::{Bounds, Paces};
use crate::task;

/// Why a broker's settings were not changed.
#[derive(Debug, thiserror::Error)]
pub enum AlterBrokerError {
    /// The request makes no sense.
    #[error("{0}")]
    Request(String),
    /// A setting is unknown, out of bounds, or read at the start alone.
    #[error("{0}")]
    Settings(#[from] ConfigError),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] MetaStoreError),
}

impl From<AlterError> for AlterBrokerError {
    fn from(error: AlterError) -> Self {
        match error {
            AlterError::Request(text) => Self::Request(text),
            AlterError::Config(error) => Self::Settings(error),
        }
    }
}

impl Controller {
    /// Changes what was given for brokers while they ran (or only checks that it could). When this
    /// returns, it is in force, also for bytes that wait.
    ///
    /// # Errors
    /// When the settings break a rule or the store fails. Then all stays as it was.
    pub async fn alter_broker(
        self: &Arc<Self>,
        scope: BrokerScope,
        change: impl SettingsChange,
        validate_only: bool,
    ) -> Result<(), AlterBrokerError> {
        let controller = self.clone();
        let altered = async move { controller.alter_scope(scope, change, validate_only).await };
        task::to_its_end(altered).await
    }

    async fn alter_scope(
        &self,
        scope: BrokerScope,
        change: impl SettingsChange,
        validate_only: bool,
    ) -> Result<(), AlterBrokerError> {
        let _one_at_a_time = self.changing.lock().await;
        let image = self.image.load();
        let given = change(image.broker_overrides.of(scope))?;
        let overrides = image.broker_overrides.with(scope, given);
        let settings = RuntimeSettings::new(&self.config, &overrides)?;
        if validate_only {
            return Ok(());
        }
        self.store.set_broker_overrides(&overrides).await?;
        self.paces.bound(bounds(&settings));
        self.image.publish(image.with_broker_overrides(overrides));
        Ok(())
    }
}

/// Puts the settings that can change while the broker runs in force, at its start.
pub fn put_in_force(paces: &Paces, config: &BrokerConfig, overrides: &BrokerOverrides) {
    let settings = RuntimeSettings::new(config, overrides).or_else(|error| {
        // What another version took, this one may not.
        tracing::error!(%error, "settings given at runtime do not fit any more and are passed over");
        RuntimeSettings::new(config, &BrokerOverrides::default())
    });
    match settings {
        Ok(settings) => paces.bound(bounds(&settings)),
        Err(error) => unreachable!("no settings fit every broker: {error}"),
    }
}

fn bounds(settings: &RuntimeSettings) -> Bounds {
    Bounds {
        copies: settings.copy_max_bytes_per_second,
        fetches: settings.fetch_max_bytes_per_second,
        slowdown_max_percent: settings.replay_slowdown_max_percent,
    }
}
