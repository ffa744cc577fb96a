//! The metadata of one broker in SQLite (`metadata.db`).
//!
//! Every change is one transaction with `synchronous=FULL`: when a method returns, the change
//! survives a power cut. Calls are rare (admin requests), so one connection behind a lock on the
//! blocking pool is enough.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use parking_lot::Mutex;
use rusqlite::{Connection, ErrorCode, OptionalExtension, Transaction, params};

use super::sqlite_policies;
use crate::config::{BrokerOverrides, PolicyText};
use crate::metadata::{MetaStore, MetaStoreError, StoredTopic};
use crate::model::{LeaderEpoch, TopicId};

mod migrations {
    refinery::embed_migrations!("migrations/metadata");
}

/// The fact that tells data directories apart.
const INSTANCE: &str = "instance";
/// The fact that names the cluster.
const CLUSTER_ID: &str = "cluster.id";
/// The fact that says what the data directory is for, and its values.
const ROLE: &str = "role";
const LEADS: &str = "leads";
const READS: &str = "reads";

/// `metadata.db` could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenMetaStoreError {
    /// The file is not a database, is damaged or cannot be written.
    #[error("metadata database {path}: {source}")]
    Sqlite {
        /// The file.
        path: String,
        /// SQLite's reason.
        source: rusqlite::Error,
    },
    /// A newer icecore has changed the schema, or an older migration differs.
    #[error(
        "metadata database {path} does not fit this version: {source}. If a later version of icecore \
         wrote it, start that version"
    )]
    Schema {
        /// The file.
        path: String,
        /// The migration that does not fit.
        source: Box<refinery::Error>,
    },
}

/// [`MetaStore`] over one SQLite file.
#[derive(Debug)]
pub struct SqliteMetaStore {
    connection: Arc<Mutex<Connection>>,
}

impl SqliteMetaStore {
    /// Opens or creates the database at `path` and brings its schema up to date. Blocking.
    ///
    /// # Errors
    /// When the file cannot be opened or belongs to a newer version.
    pub fn open(path: &Path) -> Result<Self, OpenMetaStoreError> {
        let shown = path.display().to_string();
        let sqlite = |source| OpenMetaStoreError::Sqlite { path: shown.clone(), source };
        let mut connection = Connection::open(path).map_err(sqlite)?;
        connection
            .execute_batch(
                "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA foreign_keys=ON;
                 PRAGMA busy_timeout=5000; PRAGMA cache_size=-2048;",
            )
            .map_err(sqlite)?;
        // Grouped: a migration and the note that it was made are one transaction.
        migrations::migrations::runner().set_grouped(true).run(&mut connection).map_err(
            |source| OpenMetaStoreError::Schema { path: shown, source: Box::new(source) },
        )?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// What tells this data directory from every other, made on first use.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn instance(&self) -> Result<String, MetaStoreError> {
        let fresh = uuid::Uuid::new_v4().simple().to_string();
        self.transact(move |tx| fact(tx, INSTANCE, &fresh)).await
    }

    /// Notes what a new data directory is for: to lead a cluster, or to only read one that another
    /// broker leads. Gives what it is for, and the cluster's id if it knows one.
    ///
    /// # Errors
    /// When the database fails.
    pub async fn begin_as(
        &self,
        read_only: bool,
    ) -> Result<(bool, Option<String>), MetaStoreError> {
        self.transact(move |tx| {
            let find = "SELECT value FROM facts WHERE name = ?1";
            let known = |name| tx.query_row(find, [name], |row| row.get(0)).optional();
            let cluster_id: Option<String> = known(CLUSTER_ID).map_err(engine)?;
            // One that knows its cluster and not what it is for is older than the difference.
            let read_only = read_only && cluster_id.is_none();
            let found = fact(tx, ROLE, if read_only { READS } else { LEADS })?;
            Ok((found == READS, cluster_id))
        })
        .await
    }

    /// Puts a whole cluster into an empty database, in one transaction.
    ///
    /// # Errors
    /// When the database holds a cluster already, or fails.
    pub async fn restore(
        &self,
        (cluster_id, instance): (&str, &str),
        topics: Vec<StoredTopic>,
        (policies, broker_settings): (Vec<PolicyText>, BrokerOverrides),
        next_producer_id: i64,
    ) -> Result<(), MetaStoreError> {
        let facts = [(CLUSTER_ID, cluster_id.to_owned()), (INSTANCE, instance.to_owned())];
        self.transact(move |tx| {
            for (name, value) in facts {
                tx.execute("INSERT INTO facts (name, value) VALUES (?1, ?2)", [name, &value])
                    .map_err(engine)?;
            }
            topics.iter().try_for_each(|topic| insert_topic(tx, topic))?;
            let mut policies = policies.iter();
            policies.try_for_each(|policy| sqlite_policies::set(tx, policy)).map_err(engine)?;
            replace_broker_settings(tx, &broker_settings).map_err(engine)?;
            tx.execute("UPDATE producer_ids SET next = ?1", [next_producer_id])
                .map(drop)
                .map_err(engine)
        })
        .await
    }

    /// Runs `work` in one transaction on the blocking pool.
    async fn transact<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Transaction<'_>) -> Result<T, MetaStoreError> + Send + 'static,
    ) -> Result<T, MetaStoreError> {
        let connection = self.connection.clone();
        let run = move || {
            let mut connection = connection.lock();
            let transaction = connection.transaction().map_err(engine)?;
            let value = work(&transaction)?;
            transaction.commit().map_err(engine)?;
            Ok(value)
        };
        tokio::task::spawn_blocking(run).await.map_err(engine)?
    }
}

fn engine(source: impl std::error::Error + Send + Sync + 'static) -> MetaStoreError {
    MetaStoreError::Engine(Box::new(source))
}

#[async_trait]
impl MetaStore for SqliteMetaStore {
    async fn cluster_id(&self, wanted: Option<&str>) -> Result<String, MetaStoreError> {
        let fresh = wanted.map_or_else(|| TopicId::random().to_string(), str::to_owned);
        self.transact(move |tx| fact(tx, CLUSTER_ID, &fresh)).await
    }

    async fn topics(&self) -> Result<Vec<StoredTopic>, MetaStoreError> {
        self.transact(|tx| load_topics(tx).map_err(engine)).await
    }

    async fn begin_leading(&self) -> Result<(), MetaStoreError> {
        self.transact(|tx| {
            tx.execute("UPDATE partitions SET leader_epoch = leader_epoch + 1", [])
                .map(drop)
                .map_err(engine)
        })
        .await
    }

    async fn create_topic(&self, topic: &StoredTopic) -> Result<(), MetaStoreError> {
        let topic = topic.clone();
        self.transact(move |tx| insert_topic(tx, &topic)).await
    }

    async fn grow_topic(&self, id: TopicId, count: usize) -> Result<(), MetaStoreError> {
        self.transact(move |tx| {
            must_know(tx, id)?;
            let have: i64 = tx
                .query_row(
                    "SELECT count(*) FROM partitions WHERE topic_id = ?1",
                    [id.as_bytes()],
                    |r| r.get(0),
                )
                .map_err(engine)?;
            for partition in have..i64::try_from(count).map_err(engine)? {
                insert_partition(tx, id, partition, LeaderEpoch::ZERO).map_err(engine)?;
            }
            Ok(())
        })
        .await
    }

    async fn set_overrides(
        &self,
        id: TopicId,
        overrides: &BTreeMap<String, String>,
    ) -> Result<(), MetaStoreError> {
        let overrides = overrides.clone();
        self.transact(move |tx| {
            must_know(tx, id)?;
            tx.execute("DELETE FROM topic_settings WHERE topic_id = ?1", [id.as_bytes()])
                .map_err(engine)?;
            insert_settings(tx, id, &overrides).map_err(engine)
        })
        .await
    }

    async fn broker_overrides(&self) -> Result<BrokerOverrides, MetaStoreError> {
        self.transact(|tx| {
            let all = load_broker_settings(tx, ALL).map_err(engine)?;
            let own = load_broker_settings(tx, OWN).map_err(engine)?;
            Ok(BrokerOverrides { all, own })
        })
        .await
    }

    async fn set_broker_overrides(
        &self,
        overrides: &BrokerOverrides,
    ) -> Result<(), MetaStoreError> {
        let overrides = overrides.clone();
        self.transact(move |tx| replace_broker_settings(tx, &overrides).map_err(engine)).await
    }

    async fn policies(&self) -> Result<Vec<PolicyText>, MetaStoreError> {
        self.transact(|tx| sqlite_policies::load(tx).map_err(engine)).await
    }

    async fn set_policy(&self, policy: &PolicyText) -> Result<(), MetaStoreError> {
        let policy = policy.clone();
        self.transact(move |tx| sqlite_policies::set(tx, &policy).map_err(engine)).await
    }

    async fn delete_policy(&self, name: &str) -> Result<(), MetaStoreError> {
        let name = name.to_owned();
        self.transact(move |tx| sqlite_policies::delete(tx, &name).map_err(engine)).await
    }

    async fn mark_deleting(&self, id: TopicId) -> Result<(), MetaStoreError> {
        self.transact(move |tx| {
            must_know(tx, id)?;
            tx.execute("UPDATE topics SET deleting = 1 WHERE id = ?1", [id.as_bytes()])
                .map(drop)
                .map_err(engine)
        })
        .await
    }

    async fn forget_topic(&self, id: TopicId) -> Result<(), MetaStoreError> {
        self.transact(move |tx| {
            tx.execute("DELETE FROM topics WHERE id = ?1", [id.as_bytes()])
                .map(drop)
                .map_err(engine)
        })
        .await
    }

    async fn take_producer_ids(&self, count: i64) -> Result<Range<i64>, MetaStoreError> {
        assert!(count > 0, "a block of producer ids holds at least one, asked for {count}");
        self.transact(move |tx| {
            let next: i64 = tx
                .query_row(
                    "UPDATE producer_ids SET next = next + ?1 RETURNING next",
                    [count],
                    |row| row.get(0),
                )
                .map_err(engine)?;
            Ok(next - count..next)
        })
        .await
    }

    async fn next_producer_id(&self) -> Result<i64, MetaStoreError> {
        self.transact(|tx| {
            tx.query_row("SELECT next FROM producer_ids", [], |row| row.get(0)).map_err(engine)
        })
        .await
    }
}

/// A fact, which is `fresh` from now on if it was not there.
fn fact(tx: &Transaction<'_>, name: &str, fresh: &str) -> Result<String, MetaStoreError> {
    let insert = "INSERT INTO facts (name, value) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
    tx.execute(insert, [name, fresh]).map_err(engine)?;
    tx.query_row("SELECT value FROM facts WHERE name = ?1", [name], |row| row.get(0))
        .map_err(engine)
}

fn must_know(tx: &Transaction<'_>, id: TopicId) -> Result<(), MetaStoreError> {
    tx.query_row("SELECT 1 FROM topics WHERE id = ?1 AND deleting = 0", [id.as_bytes()], |_| Ok(()))
        .optional()
        .map_err(engine)?
        .ok_or(MetaStoreError::UnknownTopic { id })
}

fn insert_topic(tx: &Transaction<'_>, topic: &StoredTopic) -> Result<(), MetaStoreError> {
    let inserted = tx.execute(
        "INSERT INTO topics (id, name, deleting) VALUES (?1, ?2, ?3)",
        params![topic.id.as_bytes(), &*topic.name, topic.deleting],
    );
    match inserted {
        Err(rusqlite::Error::SqliteFailure(failure, _))
            if failure.code == ErrorCode::ConstraintViolation =>
        {
            return Err(MetaStoreError::TopicExists { name: topic.name.clone() });
        }
        other => other.map_err(engine)?,
    };
    for (partition, epoch) in (0..).zip(&topic.leader_epochs) {
        insert_partition(tx, topic.id, partition, *epoch).map_err(engine)?;
    }
    insert_settings(tx, topic.id, &topic.overrides).map_err(engine)
}

fn insert_partition(
    tx: &Transaction<'_>,
    id: TopicId,
    partition: i64,
    epoch: LeaderEpoch,
) -> rusqlite::Result<()> {
    tx.prepare_cached(
        "INSERT INTO partitions (topic_id, partition, leader_epoch) VALUES (?1, ?2, ?3)",
    )?
    .execute(params![id.as_bytes(), partition, epoch.get()])
    .map(drop)
}

fn insert_settings(
    tx: &Transaction<'_>,
    id: TopicId,
    settings: &BTreeMap<String, String>,
) -> rusqlite::Result<()> {
    let mut insert = tx
        .prepare_cached("INSERT INTO topic_settings (topic_id, name, value) VALUES (?1, ?2, ?3)")?;
    settings
        .iter()
        .try_for_each(|(name, value)| insert.execute(params![id.as_bytes(), name, value]).map(drop))
}

/// The scopes of broker settings.
const ALL: &str = "all";
const OWN: &str = "own";

fn replace_broker_settings(tx: &Transaction<'_>, given: &BrokerOverrides) -> rusqlite::Result<()> {
    tx.execute("DELETE FROM broker_settings", [])?;
    insert_broker_settings(tx, ALL, &given.all)?;
    insert_broker_settings(tx, OWN, &given.own)
}

fn insert_broker_settings(
    tx: &Transaction<'_>,
    scope: &str,
    settings: &BTreeMap<String, String>,
) -> rusqlite::Result<()> {
    let mut insert =
        tx.prepare_cached("INSERT INTO broker_settings (scope, name, value) VALUES (?1, ?2, ?3)")?;
    settings.iter().try_for_each(|(name, value)| insert.execute([scope, name, value]).map(drop))
}

fn load_broker_settings(
    tx: &Transaction<'_>,
    scope: &str,
) -> rusqlite::Result<BTreeMap<String, String>> {
    let mut rows = tx.prepare("SELECT name, value FROM broker_settings WHERE scope = ?1")?;
    rows.query_map([scope], |row| Ok((row.get(0)?, row.get(1)?)))?.collect()
}

fn load_topics(tx: &Transaction<'_>) -> rusqlite::Result<Vec<StoredTopic>> {
    let mut topics = BTreeMap::new();
    let mut rows = tx.prepare("SELECT id, name, deleting FROM topics")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        let id = TopicId::from_bytes(row.get(0)?);
        let name: Arc<str> = row.get(1)?;
        let deleting = row.get(2)?;
        let (leader_epochs, overrides) = (Vec::new(), BTreeMap::new());
        topics.insert(id, StoredTopic { id, name, leader_epochs, overrides, deleting });
    }
    let mut rows =
        tx.prepare("SELECT topic_id, leader_epoch FROM partitions ORDER BY topic_id, partition")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(topic) = topics.get_mut(&TopicId::from_bytes(row.get(0)?)) {
            topic.leader_epochs.push(LeaderEpoch::new(row.get(1)?));
        }
    }
    let mut rows = tx.prepare("SELECT topic_id, name, value FROM topic_settings")?;
    let mut rows = rows.query([])?;
    while let Some(row) = rows.next()? {
        if let Some(topic) = topics.get_mut(&TopicId::from_bytes(row.get(0)?)) {
            topic.overrides.insert(row.get(1)?, row.get(2)?);
        }
    }
    Ok(topics.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn orders() -> StoredTopic {
        StoredTopic {
            id: TopicId::random(),
            name: "orders".into(),
            leader_epochs: vec![LeaderEpoch::ZERO; 3],
            overrides: [("retention.ms".to_owned(), "1000".to_owned())].into(),
            deleting: false,
        }
    }

    fn open(dir: &tempfile::TempDir) -> SqliteMetaStore {
        SqliteMetaStore::open(&dir.path().join("metadata.db")).expect("open")
    }

    #[tokio::test]
    async fn topics_settings_and_ids_are_there_after_a_restart() {
        let dir = tempfile::tempdir().expect("dir");
        let mut topic = orders();
        let (cluster, ids) = {
            let store = open(&dir);
            store.create_topic(&topic).await.expect("create");
            store.grow_topic(topic.id, 5).await.expect("grow");
            topic.overrides.insert("segment.bytes".into(), "1048576".into());
            store.set_overrides(topic.id, &topic.overrides).await.expect("set");
            (
                store.cluster_id(None).await.expect("id"),
                store.take_producer_ids(10).await.expect("ids"),
            )
        };
        let store = open(&dir);
        topic.leader_epochs = vec![LeaderEpoch::ZERO; 5];
        assert_eq!(store.topics().await.expect("topics"), vec![topic]);
        assert_eq!(store.cluster_id(Some("another")).await.expect("id"), cluster);
        assert_eq!(ids, 0..10);
        assert_eq!(store.take_producer_ids(1).await.expect("ids"), 10..11, "no id is given twice");
    }

    #[tokio::test]
    async fn what_was_given_for_brokers_is_there_after_a_restart() {
        let dir = tempfile::tempdir().expect("dir");
        let given = |name: &str, value: &str| [(name.to_owned(), value.to_owned())].into();
        let first = BrokerOverrides { all: given("a", "1"), own: given("b", "2") };
        open(&dir).set_broker_overrides(&first).await.expect("set");
        assert_eq!(open(&dir).broker_overrides().await.expect("load"), first);
        let second = BrokerOverrides { all: given("c", "3"), ..BrokerOverrides::default() };
        open(&dir).set_broker_overrides(&second).await.expect("set");
        assert_eq!(open(&dir).broker_overrides().await.expect("load"), second);
    }

    #[tokio::test]
    async fn policies_are_there_after_a_restart_as_they_were_given() {
        let dir = tempfile::tempdir().expect("dir");
        let policy = |name: &str, topics: &[&str], value: &str| PolicyText {
            name: name.to_owned(),
            topics: topics.iter().map(|topic| (*topic).to_owned()).collect(),
            priority: -3,
            settings: [("retention.ms".to_owned(), value.to_owned())].into(),
        };
        let (one, other) = (policy("one", &["z", "a-*"], "1"), policy("other", &["*"], "2"));
        {
            let store = open(&dir);
            store.set_policy(&policy("one", &["gone", "z", "b"], "9")).await.expect("set");
            store.set_policy(&one).await.expect("set in its place");
            store.set_policy(&other).await.expect("set");
        }
        let store = open(&dir);
        assert_eq!(store.policies().await.expect("load"), [one, other.clone()]);
        store.delete_policy("one").await.expect("delete");
        assert_eq!(open(&dir).policies().await.expect("load"), [other]);
    }

    #[tokio::test]
    async fn a_name_is_free_as_soon_as_its_topic_is_being_deleted() {
        let dir = tempfile::tempdir().expect("dir");
        let store = open(&dir);
        let first = orders();
        store.create_topic(&first).await.expect("create");
        assert!(matches!(
            store.create_topic(&orders()).await,
            Err(MetaStoreError::TopicExists { .. })
        ));
        store.mark_deleting(first.id).await.expect("mark");
        let second = orders();
        store.create_topic(&second).await.expect("the name is free");
        store.forget_topic(first.id).await.expect("forget");
        assert_eq!(store.topics().await.expect("topics"), vec![second]);
    }

    #[tokio::test]
    async fn a_directory_stays_what_it_was_made_for_and_an_older_one_leads() {
        let (reads, leads) = (tempfile::tempdir().expect("dir"), tempfile::tempdir().expect("dir"));
        let store = open(&reads);
        assert_eq!(store.begin_as(true).await.expect("new"), (true, None));
        store.cluster_id(Some("c")).await.expect("id");
        let (read_only, cluster_id) = store.begin_as(false).await.expect("known");
        assert_eq!((read_only, cluster_id.as_deref()), (true, Some("c")));

        let store = open(&leads);
        store.cluster_id(Some("c")).await.expect("an id, as older versions made it");
        assert!(!store.begin_as(true).await.expect("older").0);
    }

    #[tokio::test]
    async fn a_new_term_of_leadership_raises_every_epoch() {
        let dir = tempfile::tempdir().expect("dir");
        let store = open(&dir);
        store.create_topic(&orders()).await.expect("create");
        store.begin_leading().await.expect("lead");
        let topics = store.topics().await.expect("topics");
        assert_eq!(topics[0].leader_epochs, vec![LeaderEpoch::new(1); 3]);
    }

    #[tokio::test]
    async fn a_change_to_a_topic_that_is_gone_names_its_id() {
        let dir = tempfile::tempdir().expect("dir");
        let store = open(&dir);
        let id = TopicId::random();
        let error = store.grow_topic(id, 2).await.expect_err("unknown");
        assert!(error.to_string().contains(&id.to_string()), "{error}");
    }

    #[test]
    fn a_file_that_is_no_database_is_refused_with_its_path() {
        let dir = tempfile::tempdir().expect("dir");
        let path = dir.path().join("metadata.db");
        std::fs::write(&path, b"not a database, but long enough to be read as one").expect("write");
        let error = SqliteMetaStore::open(&path).expect_err("refused");
        assert!(error.to_string().contains("metadata.db"), "{error}");
    }
}
