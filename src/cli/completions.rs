//! `icecore completions`.

use clap::{CommandFactory, Parser};
use clap_complete::{Shell, generate};

use super::output::print;

/// `icecore completions ...`.
#[derive(Debug, Parser)]
#[command(after_help = "For bash: `icecore completions bash > \
    ~/.local/share/bash-completion/completions/icecore`. For zsh: into a folder of $fpath, as \
    _icecore. For fish: `icecore completions fish > ~/.config/fish/completions/icecore.fish`.")]
pub(super) struct Args {
    /// Which shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run<C: CommandFactory>(args: &Args) -> anyhow::Result<()> {
    let mut script = Vec::new();
    generate(args.shell, &mut C::command(), "icecore", &mut script);
    print(&String::from_utf8_lossy(&script))
}
