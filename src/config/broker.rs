//! The broker's configuration: places and settings, from file, environment and flags.
//!
//! Flags win over the environment, the environment over the file. Everything is checked here, and
//! everything that is wrong is reported at once.

use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::error::{ConfigError, Problem};
use super::file;
use super::listeners::{self, Address, Listener};
use super::own_settings::BROKER_SETTINGS;
use super::policy::{self, Policies, Policy};
use super::setting::{ConfigSource, Setting};
use super::topic::TopicConfig;
use super::value::{Value, nearest, read};

/// The file that is read when it is there and no other is named.
const DEFAULT_FILE: &str = "icecore.toml";

/// Where a broker keeps and offers things, as given at one place; `None` where nothing was said.
#[derive(Clone, Debug, Default)]
pub struct Places {
    /// `--data-dir`.
    pub data_dir: Option<PathBuf>,
    /// `--listen`.
    pub listen: Option<String>,
    /// `--advertise`.
    pub advertise: Option<String>,
    /// `--http`.
    pub http: Option<String>,
    /// `--store`.
    pub store: Option<String>,
    /// `--read-only`.
    pub read_only: Option<bool>,
}

/// What a configuration is made of.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file, when one is named.
    pub file: Option<PathBuf>,
    /// From flags and environment, which the command line has merged already.
    pub places: Places,
    /// `--set NAME=VALUE`, in order.
    pub settings: Vec<(String, String)>,
}

/// A store's table in the file: a URL and options.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StoreTable {
    /// Where the objects lie.
    pub url: String,
    /// Further options by name, such as `endpoint`.
    pub options: BTreeMap<String, String>,
}

/// What a start does on an empty disk whose store is not empty (`tiering.on.empty.disk`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmptyDisk {
    /// It ends.
    Refuse,
    /// It fills the disk from the store.
    Restore,
    /// It begins a new cluster beside the old one.
    New,
}

/// The effective configuration of a broker.
#[derive(Clone, Debug)]
pub struct BrokerConfig {
    data_dir: PathBuf,
    listen: String,
    advertise: Option<String>,
    listeners: Vec<Listener>,
    http: String,
    store: StoreTable,
    read_only: bool,
    values: HashMap<&'static str, (Value, ConfigSource)>,
    policies: Arc<[Policy]>,
}

impl BrokerConfig {
    /// Puts the sources together.
    ///
    /// # Errors
    /// Everything that is wrong with any of them.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let file = match &sources.file {
            Some(path) => Some(file::read(path)),
            None if Path::new(DEFAULT_FILE).exists() => Some(file::read(Path::new(DEFAULT_FILE))),
            None => None,
        };
        let mut file =
            file.unwrap_or_else(|| Ok(file::File::default())).unwrap_or_else(|problem| {
                problems.push(problem);
                file::File::default()
            });
        file.fill_in(|name| std::env::var(name).ok(), &mut problems);
        let from_file = file.settings.iter().map(|(name, value)| (name.clone(), value.text()));
        let values = values(from_file.chain(sources.settings.iter().cloned()), &mut problems);
        let places = sources.places.clone();
        let data_dir = places
            .data_dir
            .or_else(|| file.data_dir.clone().map(PathBuf::from))
            .unwrap_or_else(|| PathBuf::from("icecore-data"));
        let store = places.store.or_else(|| file.store.clone());
        let read_only = places.read_only.or(file.read_only).unwrap_or(false);
        if read_only && store.is_none() {
            let text = "a read-only server reads the store of another broker: give --store";
            problems.push(Problem::Conflict(text.into()));
        }
        let store = store_table(store, &file.stores, &data_dir);
        let listen = places.listen.or(file.listen).unwrap_or_else(|| "127.0.0.1:9092".into());
        let advertise = places.advertise.or(file.advertise);
        let config = Self {
            data_dir,
            listeners: listeners::read(&listen, advertise.as_deref(), &mut problems),
            listen,
            advertise,
            http: places.http.or(file.http).unwrap_or_else(|| "127.0.0.1:9600".into()),
            store,
            read_only,
            values,
            policies: policy::of_file(file.policies, &mut problems),
        };
        config.check_together(&mut problems);
        let policies = config.policies.iter();
        let unfit = policies.filter_map(|policy| TopicConfig::check_policy(&config, policy).err());
        problems.extend(unfit.flat_map(|error| error.problems().to_vec()));
        ConfigError::check(problems)?;
        Ok(config)
    }

    /// The defaults with everything in `data_dir`, and some settings on top.
    ///
    /// # Errors
    /// When one of the settings is wrong.
    pub fn in_dir(data_dir: &Path, settings: &[(&str, &str)]) -> Result<Self, ConfigError> {
        let places = Places { data_dir: Some(data_dir.to_owned()), ..Places::default() };
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Self::load(&Sources { file: None, places, settings: settings.iter().map(owned).collect() })
    }

    fn check_together(&self, problems: &mut Vec<Problem>) {
        if Address::read(&self.http).is_none() {
            let text = format!("http is {:?}: give HOST:PORT", self.http);
            problems.push(Problem::Conflict(text));
        }
        if !self.store.url.contains("://") {
            let text = format!(
                "store is {:?}: give a URL, or the name of a table under [stores] that has one",
                self.store.url
            );
            problems.push(Problem::Conflict(text));
        }
        if self.read_only && !self.remote_storage_system_enable() {
            let text = "a read-only server needs remote.log.storage.system.enable=true: it has nothing \
                 but the store";
            problems.push(Problem::Conflict(text.into()));
        }
        if self.number("group.min.session.timeout.ms") > self.number("group.max.session.timeout.ms")
        {
            let text = "group.min.session.timeout.ms is larger than group.max.session.timeout.ms";
            problems.push(Problem::Conflict(text.into()));
        }
        if let (Some(low), Some(high)) = (self.disk_free_low(), self.disk_free_high())
            && high < low
        {
            let text = format!(
                "tiering.disk.free.high.bytes is {high}, less than tiering.disk.free.low.bytes {low}"
            );
            problems.push(Problem::Conflict(text));
        }
    }

    fn value(&self, name: &str) -> &Value {
        match self.values.get(name) {
            Some((value, _)) => value,
            None => unreachable!("{name} is in the table of settings"),
        }
    }

    pub(super) fn number(&self, name: &str) -> i64 {
        self.value(name).number()
    }

    /// A size where -1 says that there is none.
    fn size_if_set(&self, name: &str) -> Option<usize> {
        usize::try_from(self.number(name)).ok()
    }

    fn size(&self, name: &str) -> usize {
        usize::try_from(self.number(name)).unwrap_or(0)
    }

    /// A number of bytes where -1 leaves it to the disk.
    fn bytes_if_set(&self, name: &str) -> Option<u64> {
        u64::try_from(self.number(name)).ok()
    }

    fn millis(&self, name: &str) -> Duration {
        Duration::from_millis(self.number(name).try_into().unwrap_or(0))
    }

    fn flag(&self, name: &str) -> bool {
        matches!(self.value(name), Value::Boolean(true))
    }

    fn int(&self, name: &str) -> i32 {
        i32::try_from(self.number(name)).unwrap_or(i32::MAX)
    }

    fn given(&self, name: &str) -> Option<String> {
        let text = self.value(name).text();
        (!text.is_empty()).then_some(text)
    }

    /// A value as text and where it came from; `None` for names that are no settings.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<(String, ConfigSource)> {
        self.values.get(name).map(|(value, source)| (value.text(), *source))
    }

    /// What a topic's setting takes as its default from here: Kafka lets three names speak for
    /// retention and two for the roll.
    pub(super) fn topic_default(&self, setting: &Setting) -> (String, ConfigSource) {
        let scaled = |names: &[(&str, i64)]| {
            names.iter().find_map(|(name, factor)| {
                let (value, source) = self.values.get(name)?;
                let Value::Number(number) = value else { return None };
                let given = *source != ConfigSource::Default;
                given.then(|| (if *number < 0 { -1 } else { number * factor }, *source))
            })
        };
        let scaled = match setting.name {
            "retention.ms" => scaled(&[
                ("log.retention.ms", 1),
                ("log.retention.minutes", 60_000),
                ("log.retention.hours", 3_600_000),
            ]),
            "segment.ms" => scaled(&[("log.roll.ms", 1), ("log.roll.hours", 3_600_000)]),
            _ => None,
        };
        if let Some((number, source)) = scaled {
            return (number.to_string(), source);
        }
        let synonym = setting.synonym.and_then(|name| self.get(name));
        synonym
            .filter(|(text, _)| !text.is_empty())
            .unwrap_or_else(|| (setting.default.to_owned(), ConfigSource::Default))
    }

    /// Where everything local lies.
    #[must_use]
    pub fn data_dir(&self) -> &Path {
        &self.data_dir
    }

    /// The folder of the local segments.
    #[must_use]
    pub fn log_dir(&self) -> PathBuf {
        self.data_dir.join("log")
    }

    /// The Kafka listeners, at least one, in the order in which they were given.
    #[must_use]
    pub fn listeners(&self) -> &[Listener] {
        &self.listeners
    }

    /// The Kafka listeners as they were given.
    #[must_use]
    pub fn listen(&self) -> &str {
        &self.listen
    }

    /// What clients are told as it was given; the listeners when nothing was.
    #[must_use]
    pub fn advertise(&self) -> &str {
        self.advertise.as_deref().unwrap_or(&self.listen)
    }

    /// The address of the HTTP listener, `HOST:PORT`.
    #[must_use]
    pub fn http(&self) -> &str {
        &self.http
    }

    /// The policies of the file.
    #[must_use]
    pub fn policies(&self) -> Policies {
        Policies::new(self.policies.clone(), Vec::new())
    }

    /// The policies of the file with those that were given while the broker ran.
    #[must_use]
    pub fn policies_with(&self, given: Vec<Policy>) -> Policies {
        Policies::new(self.policies.clone(), given)
    }

    /// The object store.
    #[must_use]
    pub fn store(&self) -> &StoreTable {
        &self.store
    }

    /// Whether the cluster in the store is another broker's, and is only read.
    #[must_use]
    pub fn read_only(&self) -> bool {
        self.read_only
    }

    /// The folder of the read cache.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.given("cache.dir").map_or_else(|| self.data_dir.join("cache"), PathBuf::from)
    }

    /// `cluster.id`, when it is given.
    #[must_use]
    pub fn cluster_id(&self) -> Option<String> {
        self.given("cluster.id")
    }

    /// `broker.rack`, if it is given.
    #[must_use]
    pub fn rack(&self) -> Option<String> {
        self.given("broker.rack")
    }

    /// `tiering.on.empty.disk`.
    #[must_use]
    pub fn on_empty_disk(&self) -> EmptyDisk {
        match self.given("tiering.on.empty.disk").as_deref() {
            Some("restore") => EmptyDisk::Restore,
            Some("new") => EmptyDisk::New,
            _ => EmptyDisk::Refuse,
        }
    }

    /// `tiering.prefix`, empty when it is not given.
    #[must_use]
    pub fn tiering_prefix(&self) -> String {
        self.given("tiering.prefix").unwrap_or_default()
    }
}

macro_rules! getters {
    ($($(#[$doc:meta])* $getter:ident -> $type:ty = $read:ident($name:literal);)*) => {
        impl BrokerConfig {
            $(
                #[doc = concat!("`", $name, "`.")]
                #[must_use]
                pub fn $getter(&self) -> $type {
                    self.$read($name)
                }
            )*
        }
    };
}

getters! {
    auto_create_topics -> bool = flag("auto.create.topics.enable");
    cache_bytes -> i64 = number("cache.bytes");
    connections_max_idle -> Duration = millis("connections.max.idle.ms");
    disk_free_high -> Option<u64> = bytes_if_set("tiering.disk.free.high.bytes");
    disk_free_low -> Option<u64> = bytes_if_set("tiering.disk.free.low.bytes");
    delete_topic_enable -> bool = flag("delete.topic.enable");
    fetch_max_bytes -> usize = size("fetch.max.bytes");
    group_initial_rebalance_delay -> Duration = millis("group.initial.rebalance.delay.ms");
    group_max_session_timeout -> Duration = millis("group.max.session.timeout.ms");
    group_max_count -> usize = size("group.max.count");
    group_max_size -> usize = size("group.max.size");
    group_min_session_timeout -> Duration = millis("group.min.session.timeout.ms");
    checkpoint_interval -> Duration = millis("log.flush.offset.checkpoint.interval.ms");
    retention_check_interval -> Duration = millis("log.retention.check.interval.ms");
    max_connections -> usize = size("max.connections");
    fetch_session_slots -> usize = size("max.incremental.fetch.session.cache.slots");
    max_inflight_bytes -> usize = size("max.inflight.bytes.per.connection");
    max_inflight_requests -> usize = size("max.inflight.requests.per.connection");
    max_request_partition_size_limit -> usize = size("max.request.partition.size.limit");
    node_id -> i32 = int("node.id");
    num_partitions -> i32 = int("num.partitions");
    offset_metadata_max_bytes -> usize = size("offset.metadata.max.bytes");
    offsets_retention_check_interval -> Duration = millis("offsets.retention.check.interval.ms");
    offsets_retention_minutes -> i64 = number("offsets.retention.minutes");
    offsets_topic_num_partitions -> i32 = int("offsets.topic.num.partitions");
    offsets_topic_segment_bytes -> i64 = number("offsets.topic.segment.bytes");
    producer_expiration_check_interval -> Duration = millis("producer.id.expiration.check.interval.ms");
    producer_expiration_ms -> i64 = number("producer.id.expiration.ms");
    queued_max_request_bytes -> usize = size("queued.max.request.bytes");
    remote_fetch_max_wait -> Duration = millis("remote.fetch.max.wait.ms");
    remote_list_offsets_timeout -> Duration = millis("remote.list.offsets.request.timeout.ms");
    remote_index_cache_bytes -> usize = size("remote.log.index.file.cache.total.size.bytes");
    copier_threads -> usize = size("remote.log.manager.copier.thread.pool.size");
    tiering_task_interval -> Duration = millis("remote.log.manager.task.interval.ms");
    reader_threads -> usize = size("remote.log.reader.threads");
    remote_storage_system_enable -> bool = flag("remote.log.storage.system.enable");
    socket_receive_buffer_bytes -> Option<usize> = size_if_set("socket.receive.buffer.bytes");
    socket_request_max_bytes -> usize = size("socket.request.max.bytes");
    socket_send_buffer_bytes -> Option<usize> = size_if_set("socket.send.buffer.bytes");
    follow_interval -> Duration = millis("tiering.follow.interval.ms");
    follow_start_wait -> Duration = millis("tiering.follow.start.wait.ms");
    tiering_gc_interval -> Duration = millis("tiering.gc.interval.ms");
    tiering_gc_min_age -> Duration = millis("tiering.gc.min.age.ms");
    read_ahead_max_bytes -> i64 = number("tiering.read.ahead.max.bytes");
    tiering_meta_upload_interval -> Duration = millis("tiering.meta.upload.interval.ms");
}

/// Defaults with what was given on top; the last word on a name counts.
fn values(
    given: impl Iterator<Item = (String, String)>,
    problems: &mut Vec<Problem>,
) -> HashMap<&'static str, (Value, ConfigSource)> {
    let mut values: HashMap<_, _> = BROKER_SETTINGS
        .iter()
        .map(|setting| {
            let value = match setting.default {
                "" => Value::Text(String::new()),
                default => read(setting, default).unwrap_or(Value::Text(String::new())),
            };
            (setting.name, (value, ConfigSource::Default))
        })
        .collect();
    for (name, text) in given {
        let Some(setting) = BROKER_SETTINGS.iter().find(|setting| setting.name == name) else {
            let nearest = nearest(&name, BROKER_SETTINGS.iter().map(|setting| setting.name));
            problems.push(Problem::Unknown { name, nearest });
            continue;
        };
        match read(setting, &text) {
            Ok(value) => drop(values.insert(setting.name, (value, ConfigSource::StaticBroker))),
            Err(problem) => problems.push(problem),
        }
    }
    values
}

/// The store that is meant by a URL, by the name of a table, or by nothing.
fn store_table(
    given: Option<String>,
    tables: &BTreeMap<String, BTreeMap<String, file::Scalar>>,
    data_dir: &Path,
) -> StoreTable {
    let Some(given) = given else {
        let here = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
        let url = format!("file://{}", here.join("store").display());
        return StoreTable { url, options: BTreeMap::new() };
    };
    let Some(table) = tables.get(&given) else {
        return StoreTable { url: given, options: BTreeMap::new() };
    };
    let mut options: BTreeMap<_, _> =
        table.iter().map(|(name, value)| (name.replace('-', "_"), value.text())).collect();
    StoreTable { url: options.remove("url").unwrap_or_default(), options }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_default_fits_its_own_bounds() {
        for setting in BROKER_SETTINGS.iter().chain(super::super::topic_settings::TOPIC_SETTINGS) {
            if !setting.default.is_empty() {
                read(setting, setting.default).unwrap_or_else(|p| panic!("{}: {p}", setting.name));
            }
        }
        let of_each = BROKER_SETTINGS.chunk_by(|one, next| one.name < next.name);
        assert_eq!(of_each.count(), 2, "Kafka's names in order, then icecore's");
    }

    #[test]
    fn everything_that_is_wrong_is_reported_at_once() {
        let settings = [("num.partition", "3"), ("num.partitions", "0"), ("node.id", "x")];
        let error = BrokerConfig::in_dir(Path::new("/d"), &settings).expect_err("refused");
        let text = error.to_string();
        for expected in
            ["did you mean num.partitions?", "at least 1", "invalid value x for node.id"]
        {
            assert!(text.contains(expected), "{text}");
        }
        assert_eq!(error.problems().len(), 3);
    }

    #[test]
    fn flags_win_over_the_file() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("icecore.toml");
        let text = "listen = \"0.0.0.0:1\"\nstore = \"main\"\n[settings]\n\"num.partitions\" = 3\n\
                    \"log.segment.bytes\" = \"2MiB\"\n[stores.main]\nurl = \"s3://b\"\nendpoint = \"e\"\n";
        std::fs::write(&file, text).expect("write");
        let sources = Sources {
            file: Some(file),
            places: Places { listen: Some("[::1]:2".into()), ..Places::default() },
            settings: vec![("num.partitions".into(), "4".into())],
        };
        let config = BrokerConfig::load(&sources).expect("load");
        assert_eq!((config.listen(), config.num_partitions()), ("[::1]:2", 4));
        assert_eq!(config.number("log.segment.bytes"), 2 << 20);
        assert_eq!(config.store().url, "s3://b");
        assert_eq!(config.store().options["endpoint"], "e");
    }

    #[test]
    fn a_store_that_is_neither_a_url_nor_a_table_is_refused() {
        let places = Places { store: Some("main".into()), ..Places::default() };
        let error = BrokerConfig::load(&Sources { places, ..Sources::default() });
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("store is \"main\": give a URL"), "{error}");
    }

    #[test]
    fn a_read_only_server_needs_a_store_of_anothers() {
        let load = |places, settings: &[(&str, &str)]| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            let settings = settings.iter().map(owned).collect();
            BrokerConfig::load(&Sources { places, settings, ..Sources::default() })
        };
        let read_only = Places { read_only: Some(true), ..Places::default() };
        let error = load(read_only.clone(), &[]).expect_err("no store").to_string();
        assert!(error.contains("give --store"), "{error}");
        let with_store = Places { store: Some("file:///s".into()), ..read_only };
        assert!(load(with_store.clone(), &[]).expect("load").read_only());
        let without = [("remote.log.storage.system.enable", "false")];
        let error = load(with_store, &without).expect_err("no remote tier").to_string();
        assert!(error.contains("remote.log.storage.system.enable=true"), "{error}");
    }

    #[test]
    fn an_unknown_key_in_the_file_is_refused() {
        let dir = tempfile::tempdir().expect("dir");
        let file = dir.path().join("icecore.toml");
        std::fs::write(&file, "data_dir = \"x\"\n").expect("write");
        let sources = Sources { file: Some(file), ..Sources::default() };
        let error = BrokerConfig::load(&sources).expect_err("refused");
        assert!(error.to_string().contains("data_dir"), "{error}");
    }
}
