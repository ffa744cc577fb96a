//! Commands whose answer is read.

use std::process::{Command, Output};

use anyhow::{Context as _, Result, bail};

/// What a command writes to standard output, without the last line's end.
///
/// # Errors
/// When it fails, with what it wrote to standard error.
pub(crate) fn answer(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = output(command)?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim_end().to_owned();
    if !status.success() {
        bail!("`{}` failed ({status}): {}", shown(command), text(&[stdout, stderr].concat()));
    }
    Ok(text(&stdout))
}

/// What a command that has to fail writes.
///
/// # Errors
/// When it succeeds.
pub(crate) fn refusal(command: &mut Command) -> Result<String> {
    let Output { status, stdout, stderr } = output(command)?;
    if status.success() {
        bail!("`{}` succeeded, and was to be refused", shown(command));
    }
    Ok(String::from_utf8_lossy(&[stdout, stderr].concat()).into_owned())
}

fn output(command: &mut Command) -> Result<Output> {
    command.output().with_context(|| format!("cannot run `{}`", shown(command)))
}

fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}
