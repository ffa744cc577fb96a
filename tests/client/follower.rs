//! The configuration of a read-only server on free ports.

use std::path::Path;

use icecore::config::{BrokerConfig, Places, Sources};

/// One over the store in a folder.
pub(crate) fn read_only(data_dir: &Path, store: &Path, settings: &[(&str, &str)]) -> BrokerConfig {
    let any_port = || Some("127.0.0.1:0".to_owned());
    let places = Places {
        data_dir: Some(data_dir.to_owned()),
        listen: any_port(),
        http: any_port(),
        store: Some(format!("file://{}", store.display())),
        read_only: Some(true),
        ..Places::default()
    };
    let few = [("offsets.topic.num.partitions", "3")];
    let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
    let settings = few.iter().chain(settings).map(owned).collect();
    BrokerConfig::load(&Sources { file: None, places, settings }).expect("good settings")
}
