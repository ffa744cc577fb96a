//! Real clients outside of the cluster (`flow.py`): they go on while things happen to the broker.

use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context as _, Result, ensure};

use crate::command::answer;
use crate::components::{Components, Place};

const PROGRAM: &str = include_str!("flow.py");

/// What the clients need to know.
pub(super) struct Clients {
    place: Place,
    python: PathBuf,
    program: PathBuf,
    ledger: PathBuf,
    broker: String,
}

/// A producer and a consumer at work; they end with the value.
pub(super) struct Flow {
    /// None once it was waited for.
    child: Option<Child>,
}

impl Clients {
    /// Clients of the broker at `broker`, with an empty ledger.
    pub(super) fn new(components: &Components, place: &Place, broker: String) -> Result<Self> {
        let folder = components.folder().join("kubernetes-flow");
        crate::components::remove(&folder)?;
        std::fs::create_dir_all(&folder)?;
        let program = folder.join("flow.py");
        std::fs::write(&program, PROGRAM)?;
        let python = components.folder().join("python/bin/python");
        let (place, ledger) = (place.clone(), folder.join("ledger.json"));
        Ok(Self { place, python, program, ledger, broker })
    }

    fn command(&self, what: &str) -> Command {
        let mut command = self.place.command(&self.python);
        command.arg(&self.program).args([what, "--broker", &self.broker]);
        command.arg("--ledger").arg(&self.ledger);
        command
    }

    /// Starts a producer and a consumer.
    pub(super) fn start(&self) -> Result<Flow> {
        let mut command = self.command("run");
        // What goes wrong with them is told at once, and not only at their end.
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        Ok(Flow { child: Some(command.spawn()?) })
    }

    /// Reads everything from the beginning, and holds it against all that was ever acked.
    pub(super) fn check(&self) -> Result<String> {
        answer(&mut self.command("check"))
    }

    /// Takes more of the broker's memory than it has.
    pub(super) fn crowd(&self) -> Result<()> {
        answer(&mut self.command("crowd")).map(drop)
    }
}

impl Flow {
    /// Ends both, when everything was acked and read; tells how much that was.
    pub(super) fn end(mut self) -> Result<String> {
        let mut child = self.child.take().context("the clients were waited for")?;
        drop(child.stdin.take());
        let Output { status, stdout, .. } = child.wait_with_output()?;
        ensure!(status.success(), "the clients ended with {status}, and said why above");
        Ok(String::from_utf8_lossy(&stdout).trim().to_owned())
    }
}

impl Drop for Flow {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            // It may have ended already.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}
