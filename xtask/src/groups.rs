//! The process groups that this run started: all of them end when it ends, however it ends.
//!
//! A group is in the list from right after its start until it was reaped, so ctrl-C finds every
//! one; on its way out a signal kills the list, an error or a panic drops the `Group`s.

use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::signal::unix::{SignalKind, signal};

/// How long a group may take to end after SIGTERM before SIGKILL follows.
const GRACE: Duration = Duration::from_secs(15);
/// How long between two looks at a process that is waited for.
const LOOK: Duration = Duration::from_millis(50);

static RUNNING: Mutex<Vec<Pid>> = Mutex::new(Vec::new());

fn running() -> MutexGuard<'static, Vec<Pid>> {
    RUNNING.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A child at the head of a process group of its own, ended when dropped.
pub(crate) struct Group {
    name: String,
    pid: Pid,
    child: Child,
}

impl Group {
    /// Starts it with what it prints going where this process's output goes.
    pub(crate) fn start(name: &str, command: &mut Command) -> Result<Self> {
        let mut list = running();
        let child = command
            .process_group(0)
            .stdin(Stdio::null())
            .spawn()
            .with_context(|| format!("starting {name}: {}", command.get_program().display()))?;
        let pid = Pid::from_child(&child);
        list.push(pid);
        Ok(Self { name: name.to_owned(), pid, child })
    }

    /// Starts it with what it prints going into a file.
    pub(crate) fn start_logged(name: &str, command: &mut Command, log: &Path) -> Result<Self> {
        let out = File::create(log).with_context(|| log.display().to_string())?;
        command.stderr(out.try_clone()?).stdout(out);
        Self::start(name, command)
    }

    /// Waits for its end, which must be a good one.
    pub(crate) fn succeed(mut self) -> Result<()> {
        let status = self.child.wait()?;
        match status.success() {
            true => Ok(()),
            false => bail!("{} failed: {status}", self.name),
        }
    }

    /// Waits until `ready` holds; an error when the process ends or the deadline comes first.
    pub(crate) fn wait_until(
        &mut self,
        deadline: Duration,
        mut ready: impl FnMut() -> bool,
    ) -> Result<()> {
        let start = Instant::now();
        while !ready() {
            if let Some(status) = self.child.try_wait()? {
                bail!("{} ended before it was ready: {status}", self.name);
            }
            if start.elapsed() > deadline {
                bail!("{} was not ready within {deadline:?}", self.name);
            }
            std::thread::sleep(LOOK);
        }
        Ok(())
    }

    /// Its process id.
    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Ends it at once, as a crash does.
    pub(crate) fn kill(mut self) -> Result<()> {
        kill_process_group(self.pid, Signal::KILL)?;
        self.child.wait()?;
        Ok(())
    }

    fn reap_within(&mut self, patience: Duration) -> Option<ExitStatus> {
        let start = Instant::now();
        loop {
            match self.child.try_wait() {
                Ok(Some(status)) => return Some(status),
                Ok(None) if start.elapsed() < patience => std::thread::sleep(LOOK),
                Ok(None) | Err(_) => return None,
            }
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        // What the head left behind in its group ends as well, so both signals go to the group.
        let _ = kill_process_group(self.pid, Signal::TERM);
        let _ = self.reap_within(GRACE);
        let _ = kill_process_group(self.pid, Signal::KILL);
        let _ = self.child.wait();
        running().retain(|pid| *pid != self.pid);
    }
}

/// From here on ctrl-C, SIGTERM and a closed terminal end every group and then this process.
pub(crate) fn end_on_signal() -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let guard = runtime.enter();
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let mut hangup = signal(SignalKind::hangup())?;
    drop(guard);
    std::thread::spawn(move || {
        let kind = runtime.block_on(async {
            tokio::select! {
                _ = interrupt.recv() => SignalKind::interrupt(),
                _ = terminate.recv() => SignalKind::terminate(),
                _ = hangup.recv() => SignalKind::hangup(),
            }
        });
        let number = kind.as_raw_value();
        eprintln!("xtask: signal {number}: stopping what was started");
        // Held to the end: nothing may start any more.
        let list = running();
        end_all(&list);
        std::process::exit(128 + number);
    });
    Ok(())
}

fn end_all(groups: &[Pid]) {
    for pid in groups {
        let _ = kill_process_group(*pid, Signal::TERM);
    }
    let start = Instant::now();
    let alive = |pid: &Pid| rustix::process::test_kill_process_group(*pid).is_ok();
    while groups.iter().any(alive) && start.elapsed() < GRACE {
        std::thread::sleep(LOOK);
    }
    for pid in groups {
        let _ = kill_process_group(*pid, Signal::KILL);
    }
}
