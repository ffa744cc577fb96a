//! `--broker`.

use super::client::{ClientError, Connection};

/// Which broker to ask first.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct BrokerArgs {
    /// Any broker of the cluster.
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "ICECORE_BROKER",
        default_value = "127.0.0.1:9092",
        global = true
    )]
    broker: String,
}

impl BrokerArgs {
    /// Connects to it.
    pub(super) async fn connect(&self) -> Result<Connection, ClientError> {
        Connection::open(&self.broker).await
    }
}
