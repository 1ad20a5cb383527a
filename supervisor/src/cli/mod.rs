//! What people type: one file a verb. stdout is data, stderr is talk.

mod add;
mod audience;
mod bench;
mod change;
mod check;
mod client;
mod clients;
mod comment;
mod compare;
mod completion;
mod config;
mod context;
mod describe;
mod discover;
mod doctor;
mod down;
mod drill;
mod dump;
mod error;
mod events;
mod explain;
mod export;
mod files;
mod gc;
mod graph;
mod groups;
mod hz;
mod init;
mod interrupt;
mod logs;
mod man;
mod memory;
mod new;
mod plan;
mod probe;
mod project;
mod promote;
mod ps;
mod record;
mod recordings;
mod rehearsal;
mod reload;
mod remove;
mod replace;
mod replay;
mod restart;
mod resume;
mod rings;
mod schema;
mod send;
mod shortage;
mod start;
mod stop;
mod supervise;
mod table;
mod tap;
mod terminal;
mod top;
mod up;
mod upgrade;
mod waiting;
mod when;
mod why;
mod witness;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};
use protocol::name::ProjectName;

use crate::topology::{Playing, Topology};
use context::Context;
use error::CliError;

/// Supervises a video pipeline as isolated processes.
#[derive(Debug, Parser)]
#[command(name = "framevisor", version, max_term_width = 100)]
struct Cli {
    #[command(flatten)]
    file: FileArg,
    #[command(flatten)]
    globals: Globals,
    #[command(subcommand)]
    verb: Verb,
}

/// Before the verb or after it; `logs -f` means follow, there it goes before.
#[derive(Debug, Default, Args)]
struct FileArg {
    /// The topology, or a part of it: -f may be given several times, `-` is stdin [default:
    /// framevisor.yml, .yaml, .toml or .json]
    #[arg(short, long = "file", value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    form: FormArg,
}

/// As [`FileArg`]: `dump -o` is a file.
#[derive(Debug, Default, Args)]
struct FormArg {
    /// The form of what is printed [default: text]
    #[arg(short, long, value_name = "FORM")]
    output: Option<Form>,
}

impl From<FormArg> for FileArg {
    fn from(form: FormArg) -> Self {
        Self { files: Vec::new(), form }
    }
}

#[derive(Debug, Default, Args)]
struct Globals {
    /// The project's name, instead of the topology's
    #[arg(short, long, global = true, value_name = "NAME")]
    project: Option<ProjectName>,
    /// Where the project's sockets and pid file are
    #[arg(long, global = true, value_name = "DIR", env = "FRAMEVISOR_RUNTIME_DIR")]
    runtime_dir: Option<PathBuf>,
    /// Rehearse in this folder: recordings go there, addresses are free ones, restarts are immediate
    #[arg(long, global = true, hide = true, value_name = "DIR")]
    rehearsal: Option<PathBuf>,
    /// End when this process has ended: the one that rehearses
    #[arg(long, global = true, hide = true, value_name = "PID")]
    rehearsed_by: Option<u32>,
    /// Recordings take the place of cameras: docs/replay.md
    #[arg(long, global = true, hide = true, value_name = "JSON", value_parser = replay::playing)]
    playing: Option<Playing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Form {
    Text,
    Json,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Start the project
    #[command(after_help = up::EXAMPLES)]
    Up(up::Args),
    /// Stop the project and wait until it has ended
    #[command(after_help = down::EXAMPLES)]
    Down(FileArg),
    /// List the workers
    #[command(after_help = ps::EXAMPLES)]
    Ps(FileArg),
    /// Watch everything on one screen, and restart and stop workers by key
    #[command(after_help = top::EXAMPLES)]
    Top(top::Args),
    /// Show what the workers print
    #[command(after_help = logs::EXAMPLES)]
    Logs(logs::Args),
    /// Show what became of the workers: each change of their states, with its reason
    #[command(after_help = events::EXAMPLES)]
    Events(events::Args),
    /// Bring a running project to what its topology says now; only what differs is touched
    #[command(after_help = reload::EXAMPLES)]
    Reload(reload::Args),
    /// Add workers and cameras to a running project
    #[command(after_help = add::EXAMPLES)]
    Add(add::Args),
    /// Stop workers or whole cameras and forget them, with their rings
    #[command(after_help = remove::EXAMPLES)]
    Remove(restart::Args),
    /// Let a worker that was tried beside another one change places with it
    #[command(after_help = promote::EXAMPLES)]
    Promote(promote::Args),
    /// Give workers new processes; servers keep their clients, writers their readers
    #[command(after_help = replace::EXAMPLES)]
    Replace(restart::Args),
    /// Restart workers
    #[command(after_help = restart::EXAMPLES)]
    Restart(restart::Args),
    /// Explain why a worker is not running, or was started again
    #[command(after_help = why::EXAMPLES)]
    Why(why::Args),
    /// Start workers that are stopped, held or waiting for their restart
    #[command(after_help = start::EXAMPLES)]
    Start(restart::Args),
    /// Stop workers; they stay stopped until they are started
    #[command(after_help = stop::EXAMPLES)]
    Stop(restart::Args),
    /// List, check, pin and remove what was recorded
    #[command(after_help = recordings::EXAMPLES)]
    Recordings(recordings::Args),
    /// Write what cameras recorded over a time into files for others: a clip, or a folder that plays
    #[command(after_help = export::EXAMPLES)]
    Export(export::Args),
    /// Start and stop the recording of cameras, whatever the topology says
    #[command(after_help = record::EXAMPLES)]
    Record(record::Args),
    /// Say something of what is recorded at this moment; it stays with the recording
    #[command(after_help = comment::EXAMPLES)]
    Comment(comment::Args),
    /// Run this topology on what was recorded, in a project of its own
    #[command(after_help = replay::EXAMPLES)]
    Replay(replay::Args),
    /// Give a message to a worker that listens, and print its reply
    #[command(after_help = send::EXAMPLES)]
    Send(send::Args),
    /// List the rings, how fast they flow and who reads them
    #[command(after_help = rings::EXAMPLES)]
    Rings(rings::Args),
    /// Measure rings: rate, jitter, bytes a second, latency of each stage
    #[command(after_help = hz::EXAMPLES)]
    Hz(hz::Args),
    /// Compare what two analyzers say of the same pictures
    #[command(after_help = compare::EXAMPLES)]
    Compare(compare::Args),
    /// Look into a ring: pictures in the terminal or as PNG, records as lines
    #[command(after_help = tap::EXAMPLES)]
    Tap(tap::Args),
    /// Write the last of what a ring still holds into a file
    #[command(after_help = dump::EXAMPLES)]
    Dump(dump::Args),
    /// Kill, stop and hang workers under load, and tell what was lost
    #[command(after_help = drill::EXAMPLES)]
    Drill(drill::Args),
    /// Find out how many cameras this machine records, and what limits it
    #[command(after_help = bench::EXAMPLES)]
    Bench(bench::Args),
    /// Remove what dead writers left in shared memory
    #[command(after_help = gc::EXAMPLES)]
    Gc(gc::Args),
    /// Show which worker writes which ring, and who reads it
    #[command(after_help = graph::EXAMPLES)]
    Graph(graph::Args),
    /// Print the ffmpeg command that does by hand what a worker does
    #[command(after_help = explain::EXAMPLES)]
    Explain(explain::Args),
    /// Show what `up` would start and take, without starting anything
    #[command(after_help = plan::EXAMPLES)]
    Plan(FileArg),
    /// Find ONVIF cameras on the networks of this machine, and how a topology has them
    #[command(after_help = discover::EXAMPLES)]
    Discover(discover::Args),
    /// Connect to a camera, stream, device or file, and tell what it is and how a topology has it
    #[command(after_help = probe::EXAMPLES)]
    Probe(probe::Args),
    /// Tell everything about one worker, ring or hook, without secrets
    #[command(after_help = describe::EXAMPLES)]
    Describe(describe::Args),
    /// Examine whether this machine can do what the topology asks, and what to do about it
    #[command(after_help = doctor::EXAMPLES)]
    Doctor(doctor::Args),
    /// Write a topology to begin with
    #[command(after_help = init::EXAMPLES)]
    Init(init::Args),
    /// Write a program of your own to begin with, and a topology that runs it
    #[command(after_help = new::EXAMPLES)]
    New(new::Args),
    /// Print the topology in one piece, as written or expanded
    #[command(after_help = config::EXAMPLES)]
    Config(config::Args),
    /// Look for mistakes in the topology, without starting anything
    #[command(after_help = check::EXAMPLES)]
    Check(FileArg),
    /// Print a JSON Schema of topologies, for editors
    #[command(after_help = schema::EXAMPLES)]
    Schema,
    /// Print what a shell needs to complete this command line
    #[command(after_help = completion::EXAMPLES)]
    Completion(completion::Args),
    /// Print the manual page
    #[command(after_help = man::EXAMPLES)]
    Man,
    /// Replace the supervisor's program while everything runs on
    #[command(after_help = upgrade::EXAMPLES)]
    Upgrade(upgrade::Args),
    #[command(hide = true)]
    Guard(supervise::Args),
    #[command(hide = true)]
    Resume(resume::Args),
    #[command(hide = true)]
    Supervise(supervise::Args),
}

pub fn main() -> ExitCode {
    let cli = Cli::parse();
    let result = dispatch(cli);
    result.unwrap_or_else(|error| {
        error.tell();
        error.exit_code()
    })
}

fn dispatch(cli: Cli) -> Result<ExitCode, CliError> {
    let context = |after: FileArg| Context {
        files: if after.files.is_empty() { cli.file.files } else { after.files },
        form: after.form.output.or(cli.file.form.output).unwrap_or(Form::Text),
        globals: cli.globals,
    };
    match cli.verb {
        Verb::Up(mut args) => up::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Down(file) => down::run(&context(file)),
        Verb::Ps(file) => ps::run(&context(file)),
        Verb::Top(mut args) => top::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Logs(mut args) => logs::run(&context(std::mem::take(&mut args.form).into()), args),
        Verb::Events(mut args) => {
            events::run(&context(std::mem::take(&mut args.form).into()), args)
        }
        Verb::Reload(mut args) => reload::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Add(mut args) => add::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Remove(mut args) => remove::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Promote(mut args) => promote::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Replace(mut args) => replace::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Restart(mut args) => restart::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Why(mut args) => why::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Start(mut args) => start::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Stop(mut args) => stop::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Recordings(mut args) => recordings::run(&context(args.take_file()), args),
        Verb::Export(mut args) => {
            let form = FormArg::default();
            let file = FileArg { files: std::mem::take(&mut args.files), form };
            export::run(&context(file), args)
        }
        Verb::Record(mut args) => record::run(&context(args.take_file()), args),
        Verb::Comment(mut args) => comment::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Send(mut args) => send::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Replay(mut args) => replay::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Rings(mut args) => rings::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Hz(mut args) => hz::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Compare(mut args) => compare::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Tap(mut args) => tap::run(&context(std::mem::take(&mut args.file)), args),
        Verb::Dump(mut args) => {
            let form = FormArg::default();
            let file = FileArg { files: args.file.take().into_iter().collect(), form };
            dump::run(&context(file), args)
        }
        Verb::Drill(mut args) => drill::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Bench(mut args) => bench::run(&context(std::mem::take(&mut args.form).into()), &args),
        Verb::Gc(mut args) => gc::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Config(mut args) => config::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Check(file) => check::run(&context(file)),
        Verb::Graph(mut args) => graph::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Plan(file) => plan::run(&context(file)),
        Verb::Discover(mut args) => {
            discover::run(&context(std::mem::take(&mut args.form).into()), args)
        }
        Verb::Probe(mut args) => probe::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Describe(mut args) => describe::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Doctor(mut args) => doctor::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Explain(mut args) => explain::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Init(mut args) => init::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::New(mut args) => new::run(&context(args.take_form().into()), args),
        Verb::Schema => schema::run(),
        Verb::Completion(args) => completion::run(&args),
        Verb::Man => man::run(),
        Verb::Upgrade(mut args) => upgrade::run(&context(std::mem::take(&mut args.file)), &args),
        Verb::Resume(args) => resume::run(&context(FileArg::default()), &args),
        Verb::Guard(args) => up::guard(&context(FileArg::default()), args),
        Verb::Supervise(args) => supervise::run(&context(FileArg::default()), args),
    }
}

/// What the rings of this topology lack of shared memory.
pub(crate) fn shortage_of(topology: &Topology) -> Option<String> {
    memory::check(topology).err().map(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_verb_that_is_shown_has_examples_that_parse() {
        for verb in Cli::command().get_subcommands().filter(|verb| !verb.is_hide_set()) {
            let name = verb.get_name();
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let examples: Vec<&str> =
                help.lines().filter_map(|line| line.strip_prefix("  framevisor ")).collect();
            assert!(!examples.is_empty(), "{name} has none");
            for example in examples {
                // As far as a shell would give it to us.
                let line = example.split(" > ").next().unwrap_or_default();
                let words = std::iter::once("framevisor").chain(
                    line.split('\'').enumerate().flat_map(|(at, part)| match at % 2 {
                        0 => part.split_whitespace().collect(),
                        _ => vec![part],
                    }),
                );
                assert!(line.contains(name), "{name}: {example}");
                Cli::try_parse_from(words).unwrap_or_else(|error| panic!("{example}: {error}"));
            }
        }
    }

    #[test]
    fn the_file_may_stand_before_or_after_the_verb_and_logs_f_follows() {
        let file = |line: &str| {
            let cli = Cli::try_parse_from(line.split(' ')).unwrap();
            match cli.verb {
                Verb::Ps(after) if after.files.is_empty() => cli.file.files,
                Verb::Ps(after) => after.files,
                Verb::Logs(args) => {
                    assert!(args.follow);
                    cli.file.files
                }
                _ => Vec::new(),
            }
        };
        let given = vec![PathBuf::from("x.yml")];
        assert_eq!(file("framevisor -f x.yml ps -p demo"), given);
        assert_eq!(file("framevisor ps -f x.yml -o json"), given);
        assert_eq!(file("framevisor -f x.yml logs -f motion"), given);
    }
}
