//! A broker's process, which may be killed right before one of its steps.

use std::collections::HashMap;
use std::io::{BufRead as _, BufReader};
use std::os::unix::process::ExitStatusExt as _;
use std::path::Path;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread::JoinHandle;
use std::time::Instant;

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

use super::gate::{self, Gate};
use super::workload::{LOOK, PATIENCE};

/// Which step is not made any more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Death {
    Never,
    /// The so-many-th of these steps, the first being 0.
    At(String, usize),
    /// The so-many-th of all steps, the first being 0.
    After(usize),
}

/// The steps of one or more processes, in their order.
#[derive(Debug)]
pub(crate) struct Steps {
    death: Death,
    pub(crate) made: Vec<(String, usize)>,
    counts: HashMap<String, usize>,
    /// Where it died.
    pub(crate) died_at: Option<(String, usize)>,
}

impl Steps {
    pub(crate) fn new(death: Death) -> Arc<Mutex<Self>> {
        let (made, counts) = (Vec::new(), HashMap::new());
        Arc::new(Mutex::new(Self { death, made, counts, died_at: None }))
    }

    /// Notes a step; false if it must not be made.
    fn lets(&mut self, step: String) -> bool {
        let count = self.counts.entry(step.clone()).or_default();
        let this = (step, *count);
        *count += 1;
        let dies = match &self.death {
            Death::Never => false,
            Death::At(step, nth) => this.0 == *step && this.1 == *nth,
            Death::After(all) => self.made.len() == *all,
        };
        if dies {
            self.died_at = Some(this);
        } else {
            self.made.push(this);
        }
        !dies
    }
}

/// The process has ended: what was asked last may or may not have been done.
#[derive(Debug)]
pub(crate) struct Gone;

/// A process, killed when dropped.
pub(crate) struct Broker {
    child: Child,
    pub(crate) kafka: String,
    pub(crate) http: String,
    lines: Arc<Mutex<Vec<String>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Broker {
    /// Starts a broker over `root` and waits until it is ready, or gone.
    pub(crate) fn start(
        root: &Path,
        settings: &[(&str, &str)],
        steps: Option<&Arc<Mutex<Steps>>>,
    ) -> Result<Self, Gone> {
        let mut command = command(root, settings);
        let (mut child, gate) = match steps {
            Some(_) => {
                let (child, gate) = gate::spawn(&mut command).expect("a process at the gate");
                (child, Some(gate))
            }
            None => (command.spawn().expect("a process"), None),
        };
        let mut threads = Vec::new();
        if let (Some(gate), Some(steps)) = (gate, steps) {
            let (pid, root, steps) = (Pid::from_child(&child), root.to_owned(), steps.clone());
            threads.push(std::thread::spawn(move || watch(&gate, pid, &root, &steps)));
        }
        let (told, ready) = channel();
        let (stderr, lines) = (child.stderr.take().expect("piped"), Arc::default());
        let kept = Arc::clone(&lines);
        threads.push(std::thread::spawn(move || read_log(stderr, &kept, &told)));
        let mut broker = Self { child, kafka: String::new(), http: String::new(), lines, threads };
        if let Ok((kafka, http)) = ready.recv() {
            (broker.kafka, broker.http) = (kafka, http);
            return Ok(broker);
        }
        broker.must_have_been_killed();
        Err(Gone)
    }

    /// Ends it in order; what it logged.
    pub(crate) fn stop(mut self) -> Result<Vec<String>, Gone> {
        // A process that has just ended takes no signal.
        let _ = kill_process(Pid::from_child(&self.child), Signal::TERM);
        if self.end().signal() == Some(Signal::KILL.as_raw()) {
            return Err(Gone);
        }
        let (status, lines) = (self.end(), self.lines.lock().clone());
        assert!(status.success(), "{status}:\n{}", lines.join("\n"));
        Ok(lines)
    }

    /// Waits for the end of a process that nobody answers for any more.
    pub(crate) fn must_have_been_killed(&mut self) {
        let status = self.end();
        let lines = self.lines.lock().join("\n");
        assert_eq!(status.signal(), Some(Signal::KILL.as_raw()), "{status}:\n{lines}");
    }

    /// Fails if it was killed.
    pub(crate) fn must_live(&mut self) -> Result<(), Gone> {
        if self.child.try_wait().expect("a state").is_some() {
            self.must_have_been_killed();
            return Err(Gone);
        }
        Ok(())
    }

    fn end(&mut self) -> ExitStatus {
        let until = Instant::now() + PATIENCE;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a state") {
                break status;
            }
            assert!(Instant::now() < until, "it neither answers nor ends");
            std::thread::sleep(LOOK);
        };
        for thread in self.threads.drain(..) {
            thread.join().expect("no panic");
        }
        status
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            eprintln!("the broker's log:\n{}", self.lines.lock().join("\n"));
        }
    }
}

fn command(root: &Path, settings: &[(&str, &str)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
    command.arg("serve").arg("--data-dir").arg(root);
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]);
    for (name, value) in settings {
        command.arg("--set").arg(format!("{name}={value}"));
    }
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"ICECORE_") {
            command.env_remove(name);
        }
    }
    command.env("NO_COLOR", "1").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

fn watch(gate: &Gate, pid: Pid, root: &Path, steps: &Mutex<Steps>) {
    while let Some(waiting) = gate.next() {
        if let Some(step) = waiting.step(root)
            && !steps.lock().lets(step)
        {
            // The gate closes only after this: no thread goes on to see it closed.
            kill_process(pid, Signal::KILL).expect("a process that waits");
            return;
        }
        gate.open(&waiting);
    }
}

/// Keeps the log's lines, and tells the addresses when the broker says that it is ready.
fn read_log(log: ChildStderr, kept: &Mutex<Vec<String>>, told: &Sender<(String, String)>) {
    for line in BufReader::new(log).lines().map_while(Result::ok) {
        let word = |name: &str| {
            let found = line.split(' ').find_map(|word| word.strip_prefix(name));
            found.map(str::to_owned)
        };
        if line.contains(" ready ")
            && let (Some(kafka), Some(http)) = (word("kafka="), word("http="))
        {
            // Nobody listens after the first.
            let _ = told.send((kafka, http));
        }
        kept.lock().push(line);
    }
}
