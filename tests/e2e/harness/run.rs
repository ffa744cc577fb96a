//! Programs beside the test.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::Duration;

use super::until;

/// How much of a failed program's output is shown.
const SHOWN: usize = 4000;

/// A program that runs, killed when dropped.
pub(crate) struct Running {
    what: String,
    child: Child,
    stdin: Option<ChildStdin>,
    log: PathBuf,
}

impl Running {
    /// Starts it with its output in `log`; its input stays open until it is told to end.
    pub(crate) fn start(mut command: Command, log: &Path) -> Self {
        let what = format!("{command:?}");
        let file = File::options().create(true).append(true).open(log).unwrap();
        command.stdin(Stdio::piped()).stdout(file.try_clone().unwrap()).stderr(file);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{what}: {error}"));
        let stdin = child.stdin.take();
        Self { what, child, stdin, log: log.to_owned() }
    }

    pub(crate) fn pid(&self) -> rustix::process::Pid {
        rustix::process::Pid::from_child(&self.child)
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        rustix::process::kill_process(self.pid(), signal).unwrap();
    }

    /// Whether it still runs.
    pub(crate) fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// Closes its input, which tells those that run until then to end.
    pub(crate) fn tell_to_end(&mut self) {
        drop(self.stdin.take());
    }

    pub(crate) fn wait(&mut self, deadline: Duration) -> ExitStatus {
        let what = format!("the end of {} (log: {})", self.what, self.log.display());
        until(&what, deadline, || self.child.try_wait().unwrap())
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn succeed(&mut self, deadline: Duration) {
        let status = self.wait(deadline);
        if !status.success() {
            panic!("{}: {status}\n{}", self.what, self.output_tail());
        }
    }

    pub(crate) fn output_tail(&self) -> String {
        let bytes = std::fs::read(&self.log).unwrap_or_default();
        let tail = &bytes[bytes.len().saturating_sub(SHOWN)..];
        String::from_utf8_lossy(tail).into_owned()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs a program to its good end, and gives what it printed.
pub(crate) fn run(command: Command, log: &Path, deadline: Duration) -> String {
    let mut running = Running::start(command, log);
    running.tell_to_end();
    running.succeed(deadline);
    String::from_utf8_lossy(&std::fs::read(log).unwrap()).into_owned()
}
