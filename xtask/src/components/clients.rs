//! Kafka's clients for Python and Java, and Kafka's own tools.

use anyhow::Result;

use super::{Components, maven, virtual_environment};

/// Exact, so that a run today is the run of tomorrow.
const PYTHON_PACKAGES: &[&str] = &[
    "confluent-kafka==2.16.1",
    "kafka-python==3.0.12",
    "python-snappy==0.7.3",
    "lz4==4.4.5",
    "zstandard==0.25.0",
    "crc32c==2.9.post0",
];

pub(super) fn install_python(components: &Components) -> Result<()> {
    virtual_environment(components, "python", PYTHON_PACKAGES)
}

pub(super) fn install_kafka(components: &Components) -> Result<()> {
    maven::install(components, "kafka", include_str!("kafka/pom.xml"))
}
