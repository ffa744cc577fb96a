//! `cargo xtask test`: every test there is, with every real thing that they need.
//!
//! One build: all commands name the whole workspace and all features (which are the tests' own
//! and change nothing else), so that Cargo compiles everything once.

use std::ffi::OsString;
use std::process::Command;
use std::thread;
use std::time::Instant;

use anyhow::{Context as _, Result};

use crate::components::{Components, Stores};
use crate::groups::{Group, end_on_signal};

pub(crate) fn run() -> Result<()> {
    end_on_signal()?;
    let start = Instant::now();
    let components = Components::install()?;
    println!("xtask: logs of the components: {}", components.logs().display());
    phase("building the tests", cargo_test(&components)?.arg("--no-run"))?;
    println!("xtask: comparing the message codec with Kafka's definitions");
    crate::codec::run(true)?;
    crate::chart::judge(&components)?;
    println!("xtask: starting the stores");
    let stores = Stores::start(&components)?;
    let mut tests = cargo_test(&components)?;
    stores.tell(&mut tests);
    phase("running the tests", &mut tests)?;
    println!("xtask: all tests passed in {} s", start.elapsed().as_secs());
    Ok(())
}

/// Runs a command while all stores run, or shows where they are until ctrl-C.
pub(crate) fn with_stores(command: &[OsString]) -> Result<()> {
    end_on_signal()?;
    let stores = Stores::start(&Components::install_stores()?)?;
    stores.print();
    match command {
        [] => loop {
            thread::park();
        },
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            stores.tell(command.args(arguments));
            phase("running the command beside the stores", &mut command)
        }
    }
}

/// The one way in which the tests are built and run.
pub(crate) fn cargo_test(components: &Components) -> Result<Command> {
    let mut command = plain_cargo_test()?;
    command.env("ICECORE_E2E_COMPONENTS", components.folder());
    Ok(command)
}

/// The same for tests that need nothing beside them.
pub(crate) fn plain_cargo_test() -> Result<Command> {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.args(["test", "--locked", "--workspace", "--all-features"]).current_dir(crate::root()?);
    Ok(command)
}

/// Runs a command to its end, and says what it is.
pub(crate) fn phase(name: &str, command: &mut Command) -> Result<()> {
    println!("xtask: {name}");
    Group::start(name, command)?.succeed().with_context(|| name.to_owned())
}
