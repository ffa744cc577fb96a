//! What commands take their settings from.

use std::path::PathBuf;

use crate::config::{Places, Sources};

/// Flags win over the environment, the environment over the file.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct SourceArgs {
    /// Where everything local lies. Default: ./icecore-data
    #[arg(long, value_name = "DIR", env = "ICECORE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The address of the Kafka listener. Several, as Kafka's `listeners`: NAME://HOST:PORT with
    /// commas between them. Default: 127.0.0.1:9092
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_LISTEN")]
    listen: Option<String>,
    /// The address that clients are told; for several listeners NAME://HOST:PORT with commas between
    /// them: a client is told the one of the listener that it came in by. Default: the listener's
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_ADVERTISE")]
    advertise: Option<String>,
    /// The address of metrics, health and status. Default: 127.0.0.1:9600
    #[arg(long, value_name = "HOST:PORT", env = "ICECORE_HTTP")]
    http: Option<String>,
    /// Where sealed segments go: file:///path, s3://bucket/prefix, hdfs://host:port/path, ..., or
    /// the name of a store in the configuration file. Default: file://<data-dir>/store
    #[arg(long, value_name = "URL", env = "ICECORE_STORE")]
    store: Option<String>,
    /// Serve the history of the cluster in the store, beside its broker, and change nothing there.
    /// Needs --store and a data directory of its own.
    #[arg(
        long,
        env = "ICECORE_READ_ONLY",
        value_name = "BOOL",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "true"
    )]
    read_only: Option<bool>,
    /// Any setting by its name, such as num.partitions=4; may be given many times. `icecore config
    /// check` shows them all.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::name_and_value)]
    settings: Vec<(String, String)>,
}

/// Where a command looks that works on a data directory and its store while no broker runs there.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OfflineArgs {
    /// The configuration file. Default: ./icecore.toml, if it is there.
    #[arg(long, value_name = "FILE", env = "ICECORE_CONFIG")]
    config: Option<PathBuf>,
    /// The data directory. Default: ./icecore-data
    #[arg(long, value_name = "DIR", env = "ICECORE_DATA_DIR")]
    data_dir: Option<PathBuf>,
    /// The store: a URL, or the name of a store in the configuration file. Default:
    /// file://<data-dir>/store
    #[arg(long, value_name = "URL", env = "ICECORE_STORE")]
    store: Option<String>,
    /// Any setting by its name, such as tiering.prefix=a/b; may be given many times.
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = super::name_and_value)]
    settings: Vec<(String, String)>,
}

impl OfflineArgs {
    /// These, as a broker would read them.
    pub(super) fn sources(&self) -> Sources {
        Sources {
            file: self.config.clone(),
            places: Places {
                data_dir: self.data_dir.clone(),
                store: self.store.clone(),
                ..Places::default()
            },
            settings: self.settings.clone(),
        }
    }
}

impl SourceArgs {
    /// These with a file.
    pub(super) fn with_file(&self, file: Option<PathBuf>) -> Sources {
        Sources {
            file,
            places: Places {
                data_dir: self.data_dir.clone(),
                listen: self.listen.clone(),
                advertise: self.advertise.clone(),
                http: self.http.clone(),
                store: self.store.clone(),
                read_only: self.read_only,
            },
            settings: self.settings.clone(),
        }
    }
}
