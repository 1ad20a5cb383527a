//! `completion`: what a shell needs to complete the command line.

use std::process::ExitCode;

use clap::{CommandFactory, ValueEnum};
use clap_complete::{Shell as Generator, generate};

use super::{Cli, CliError, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor completion bash > ~/.local/share/bash-completion/completions/framevisor
  framevisor completion zsh > ~/.zfunc/_framevisor
  framevisor completion fish > ~/.config/fish/completions/framevisor.fish";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The shell
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Shell {
    Bash,
    Fish,
    Zsh,
}

pub(super) fn run(args: &Args) -> Result<ExitCode, CliError> {
    let generator = match args.shell {
        Shell::Bash => Generator::Bash,
        Shell::Fish => Generator::Fish,
        Shell::Zsh => Generator::Zsh,
    };
    let mut script = Vec::new();
    generate(generator, &mut Cli::command(), "framevisor", &mut script);
    // The scripts are our own texts, UTF-8.
    terminal::data(&String::from_utf8_lossy(&script))?;
    Ok(ExitCode::SUCCESS)
}
