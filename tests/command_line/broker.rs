//! A broker for one test.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use rustix::process::{Pid, Signal, kill_process};

/// How long anything here may take.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// A running `icecore serve`; it ends with the value.
pub(crate) struct Broker {
    child: Child,
    kafka: String,
    http: String,
    dir: tempfile::TempDir,
    /// Its log since it was ready.
    lines: Arc<Mutex<Vec<String>>>,
}

impl Broker {
    /// Starts one with these settings over a folder, and waits until it is ready.
    pub(crate) fn start(settings: &[&str]) -> Self {
        Self::start_in(tempfile::tempdir().expect("dir"), settings)
    }

    /// The same in a folder that may have a configuration file, and what an earlier run left.
    pub(crate) fn start_in(dir: tempfile::TempDir, settings: &[&str]) -> Self {
        Self::launch(dir, &[], settings)
    }

    /// The same over another store.
    pub(crate) fn start_on(store: &str, settings: &[&str]) -> Self {
        Self::launch(tempfile::tempdir().expect("dir"), &["--store", store], settings)
    }

    /// A read-only server of that store, in that folder.
    pub(crate) fn read_in(dir: tempfile::TempDir, store: &str, settings: &[&str]) -> Self {
        Self::launch(dir, &["--store", store, "--read-only"], settings)
    }

    /// One that may have so many files open, connections among them.
    pub(crate) fn start_with_files(max: u32, settings: &[&str]) -> Self {
        let mut shell = Command::new("sh");
        shell.args(["-c", &format!("ulimit -n {max} && exec \"$0\" \"$@\"")]);
        shell.arg(env!("CARGO_BIN_EXE_icecore"));
        Self::launch_by(shell, tempfile::tempdir().expect("dir"), &[], settings)
    }

    fn launch(dir: tempfile::TempDir, flags: &[&str], settings: &[&str]) -> Self {
        Self::launch_by(Command::new(env!("CARGO_BIN_EXE_icecore")), dir, flags, settings)
    }

    fn launch_by(
        mut command: Command,
        dir: tempfile::TempDir,
        flags: &[&str],
        settings: &[&str],
    ) -> Self {
        command.current_dir(dir.path()).args(["serve", "--data-dir", "data"]);
        command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"]).args(flags);
        command.args(settings.iter().flat_map(|setting| ["--set", setting]));
        let mut child = command.stderr(Stdio::piped()).spawn().expect("spawn");
        let mut log = BufReader::new(child.stderr.take().expect("stderr")).lines();
        let ready = log
            .by_ref()
            .map_while(Result::ok)
            .find(|line| line.contains(" ready "))
            .expect("a broker that gets ready");
        let field = |name: &str| {
            let word = ready.split_whitespace().find_map(|word| word.strip_prefix(name));
            word.expect("a field of the ready line").to_owned()
        };
        let (kafka, http) = (field("kafka="), field("http="));
        let lines = Arc::<Mutex<Vec<String>>>::default();
        let to = Arc::clone(&lines);
        std::thread::spawn(move || {
            for line in log.map_while(Result::ok) {
                println!("{line}");
                to.lock().push(line);
            }
        });
        Self { child, kafka, http, dir, lines }
    }

    /// Ends it in order and gives its folder away, with the data directory `data` in it.
    pub(crate) fn stop(mut self) -> tempfile::TempDir {
        interrupt(&self.child, Signal::TERM);
        assert!(self.child.wait().expect("wait").success(), "an orderly end");
        std::mem::replace(&mut self.dir, tempfile::tempdir().expect("dir"))
    }

    /// Kills it and gives its folder away.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        interrupt(&self.child, Signal::KILL);
        self.child.wait().expect("wait");
        std::mem::replace(&mut self.dir, tempfile::tempdir().expect("dir"))
    }

    /// A command that talks to it.
    pub(crate) fn command(&self, words: &str) -> assert_cmd::Command {
        let mut command = assert_cmd::Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.args(words.split_whitespace()).current_dir(self.dir.path()).timeout(PATIENCE);
        command.env("ICECORE_BROKER", &self.kafka).env("ICECORE_HTTP", &self.http);
        command
    }

    /// The same without a wrapper, for a test that talks to it while it runs.
    pub(crate) fn spawn(&self, words: &str) -> Child {
        let mut command = Command::new(env!("CARGO_BIN_EXE_icecore"));
        command.args(words.split_whitespace()).env("ICECORE_BROKER", &self.kafka);
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spawn")
    }

    /// Runs a command that succeeds; what it wrote.
    pub(crate) fn run(&self, words: &str) -> String {
        text(&self.command(words).assert().success().get_output().stdout)
    }

    /// Runs a command that fails with code 1; why.
    pub(crate) fn refused(&self, words: &str) -> String {
        text(&self.command(words).assert().code(1).get_output().stderr)
    }

    /// Produces these lines.
    pub(crate) fn produce(&self, words: &str, lines: &str) {
        self.command(&format!("produce {words}")).write_stdin(lines).assert().success();
    }

    /// The JSON that a command writes.
    pub(crate) fn json(&self, words: &str) -> serde_json::Value {
        serde_json::from_str(&self.run(&format!("{words} --output json"))).expect("json")
    }

    /// What its HTTP port answers.
    pub(crate) fn text(&self, path: &str) -> String {
        let mut stream = TcpStream::connect(&self.http).expect("connect");
        let request = format!("GET {path} HTTP/1.1\r\nHost: broker\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).expect("send");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).expect("receive");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
        assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
        body.to_owned()
    }

    /// The JSON that its HTTP port answers.
    pub(crate) fn page(&self, path: &str) -> serde_json::Value {
        serde_json::from_str(&self.text(path)).expect("json")
    }

    /// The line of its log that holds all of these words, once it is there.
    pub(crate) fn line_with(&self, words: &[&str]) -> String {
        let holds = |line: &&String| words.iter().all(|word| line.contains(word));
        wait_for(&format!("a line with {words:?}"), || {
            self.lines.lock().iter().find(holds).cloned()
        })
    }

    /// The lines of its log since it was ready.
    pub(crate) fn lines(&self) -> Vec<String> {
        self.lines.lock().clone()
    }

    /// The folder that its commands run in.
    pub(crate) fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// The folder of a partition's log.
    pub(crate) fn log_dir(&self, partition: &str) -> PathBuf {
        self.dir.path().join("data/log").join(partition)
    }

    /// Its HTTP address.
    pub(crate) fn http_address(&self) -> String {
        self.http.clone()
    }

    /// The store.
    pub(crate) fn store(&self) -> PathBuf {
        self.dir.path().join("data/store")
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            interrupt(&self.child, Signal::TERM);
            drop(self.child.wait());
        }
    }
}

/// Sends a signal to a child that was not waited for yet.
pub(crate) fn interrupt(child: &Child, signal: Signal) {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    kill_process(pid.expect("a process id"), signal).expect("kill");
}

/// Asks until the answer is there.
pub(crate) fn wait_for<T>(what: &str, mut ask: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask() {
            return answer;
        }
        assert!(Instant::now() < deadline, "{what} did not come");
        std::thread::yield_now();
    }
}

/// All files below a folder whose name ends so, by name.
pub(crate) fn files(folder: &Path, ending: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).expect("folder") {
        let path = entry.expect("entry").path();
        if path.is_dir() {
            found.extend(files(&path, ending));
        } else if path.to_string_lossy().ends_with(ending) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
