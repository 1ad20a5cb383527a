//! `man`: the manual page of the command and all its verbs.

use std::io;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::{Cli, CliError, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor man > framevisor.1";

pub(super) fn run() -> Result<ExitCode, CliError> {
    let page = page(Cli::command()).map_err(CliError::io("manual page"))?;
    terminal::data(&page)?;
    Ok(ExitCode::SUCCESS)
}

fn page(mut command: Command) -> io::Result<String> {
    command.build();
    let man = Man::new(command.clone());
    let mut roff = Vec::new();
    man.render_title(&mut roff)?;
    man.render_name_section(&mut roff)?;
    man.render_synopsis_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    let mut page = text_of(roff);
    add_verbs(&mut page, "FRAMEVISOR", &command)?;
    Ok(page)
}

/// A verb is a section of the page, and so is each verb of it (`recordings ls`).
fn add_verbs(page: &mut String, before: &str, command: &Command) -> io::Result<()> {
    let is_shown = |verb: &&Command| !verb.is_hide_set() && verb.get_name() != "help";
    for verb in command.get_subcommands().filter(is_shown) {
        let title = format!("{before} {}", verb.get_name().to_uppercase());
        page.push_str(&section_of(verb, &title)?);
        add_verbs(page, &title, verb)?;
    }
    Ok(())
}

/// Its own sections are below it.
fn section_of(verb: &Command, title: &str) -> io::Result<String> {
    let man = Man::new(verb.clone());
    let mut roff = Vec::new();
    man.render_synopsis_section(&mut roff)?;
    man.render_description_section(&mut roff)?;
    man.render_options_section(&mut roff)?;
    if verb.get_after_help().is_some() {
        man.render_extra_section(&mut roff)?;
    }
    let below = text_of(roff).replace("\n.SH ", "\n.SS ").replace(".SS EXTRA", ".SS EXAMPLES");
    Ok(format!(".SH \"{title}\"\n{below}"))
}

fn text_of(roff: Vec<u8>) -> String {
    // clap gives UTF-8; roff is ASCII beside our own texts.
    String::from_utf8_lossy(&roff).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_verb_that_is_shown_has_its_section_and_example() {
        let page = page(Cli::command()).unwrap();
        for verb in [
            "UP",
            "DOWN",
            "PS",
            "STOP",
            "START",
            "EVENTS",
            "WHY",
            "COMPLETION",
            "RINGS",
            "HZ",
            "GC",
            "RECORDINGS LS",
        ] {
            assert!(page.contains(&format!(".SH \"FRAMEVISOR {verb}\"")), "{verb}");
        }
        assert!(!page.contains("SUPERVISE") && !page.contains("FRAMEVISOR HELP"));
        assert!(page.contains("framevisor recordings verify"), "{page}");
        assert!(page.contains("framevisor stop cam2"), "{page}");
    }
}
