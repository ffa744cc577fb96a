//! A real Apache Kafka: one KRaft node, with tiered storage into a local folder.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Result, ensure};

use super::peer::Place;

/// The JVM's heap, as Kafka's own start script sets it.
const HEAP: &str = "1g";

const LOG4J: &str = "Configuration:
  Appenders:
    Console: {name: C, target: SYSTEM_ERR, PatternLayout: {pattern: \"%d %p %c %m%n\"}}
  Loggers:
    Root: {level: WARN, AppenderRef: {ref: C}}
";

/// The command that runs it, and the folder of its partitions.
pub(super) fn command(place: &Place, folder: &Path, port: u16) -> Result<(Command, PathBuf)> {
    let properties = folder.join("server.properties");
    std::fs::write(&properties, settings(folder, port))?;
    std::fs::write(folder.join("log4j2.yaml"), LOG4J)?;
    let log_dir = folder.join("data");
    if !log_dir.join("meta.properties").exists() {
        let mut format = java(place, folder);
        format.args(["kafka.tools.StorageTool", "format", "--standalone", "-t"]);
        format.arg("MkU3OEVBNTcwNTJENDM2Qg").arg("-c").arg(&properties);
        let output = format.output()?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "Kafka's folder was not formatted: {said}");
    }
    let mut command = java(place, folder);
    command.arg("kafka.Kafka").arg(properties);
    Ok((command, log_dir))
}

fn java(place: &Place, folder: &Path) -> Command {
    let mut command = Command::new("java");
    command
        .args([format!("-Xms{HEAP}"), format!("-Xmx{HEAP}"), "-XX:+UseG1GC".into()])
        .arg(format!("-Dlog4j2.configurationFile=file:{}/log4j2.yaml", folder.display()))
        .arg("-cp")
        .arg(format!("{}/kafka/lib/*", place.components.folder().display()));
    command
}

fn settings(folder: &Path, port: u16) -> String {
    let (folder, controller) = (folder.display(), port + 1);
    format!(
        "process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=127.0.0.1:{controller}
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
inter.broker.listener.name=PLAINTEXT
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
log.dirs={folder}/data
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
remote.log.storage.system.enable=true
remote.log.metadata.manager.listener.name=PLAINTEXT
remote.log.storage.manager.class.name=org.apache.kafka.server.log.remote.storage.LocalTieredStorage
rsm.config.dir={folder}/remote
rlmm.config.remote.log.metadata.topic.replication.factor=1
rlmm.config.remote.log.metadata.topic.min.isr=1
rlmm.config.remote.log.metadata.topic.num.partitions=1
remote.log.manager.task.interval.ms=1000
log.retention.check.interval.ms=1000
log.initial.task.delay.ms=1000
"
    )
}
