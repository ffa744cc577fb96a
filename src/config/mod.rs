//! Every setting: its name, default, bounds and meaning in one table, and the values that are in
//! force with where each came from.

mod alter;
mod broker;
mod broker_settings;
mod entry;
mod environment;
mod error;
mod file;
mod listeners;
mod meaning;
mod own_settings;
mod policy;
mod runtime;
mod setting;
#[cfg(test)]
mod table_test;
mod telling;
mod topic;
mod topic_settings;
mod value;

pub use alter::{AlterError, Operation, alter};
pub use broker::{BrokerConfig, EmptyDisk, Places, Sources, StoreTable};
pub use entry::{ConfigEntry, Synonym, describe_all_brokers, describe_broker, describe_topic};
pub use error::{ConfigError, Problem};
pub use listeners::{Address, Listener};
pub use meaning::meaning;
pub use policy::{
    ChosenPolicy, Policies, Policy, PolicyOrigin, PolicyText, TopicPattern, read_policies,
};
pub use runtime::{BrokerOverrides, BrokerScope, RuntimeSettings};
pub use setting::{Bounds, ConfigSource, Kind, Setting};
pub use topic::{DiskFullPolicy, TimestampSource, TopicConfig, plain_topic_value};
pub use value::bytes;
