//! `comment`: words of a person beside what is recorded at this moment.

use std::process::ExitCode;

use protocol::recorder::{self, Noted};

use super::client::Client;
use super::events::time_of;
use super::{CliError, Context, FileArg, groups, record, terminal};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor comment cam1 'the red car again'
  framevisor comment cam1 'delivery' --tag parcel --author Ann";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// The camera, or a group: about the picture that each of them shows
    camera: String,
    /// What is to be said
    text: String,
    /// A word to find it by; several are allowed
    #[arg(long = "tag", value_name = "WORD")]
    tags: Vec<String>,
    /// Who says it
    #[arg(long, default_value = "", hide_default_value = true, value_name = "NAME")]
    author: String,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let mut client = Client::connect(&context.place()?)?;
    let Args { camera, text, tags, author, file: _ } = args;
    let mut noted = Vec::new();
    let meant = groups::members(context, &[camera]);
    for (name, cameras) in record::of_recorders(&mut client, &meant)? {
        for camera in cameras {
            let (text, tags, author) = (text.clone(), tags.clone(), author.clone());
            let comment = recorder::Comment { camera, text, tags, author };
            let message = recorder::Message::Comment(comment);
            noted.push(record::tell::<Noted>(&mut client, name.clone(), &message)?);
        }
    }
    if context.is_json() {
        terminal::json(&noted)?;
    } else {
        for Noted { camera, utc_ns, kept, .. } in &noted {
            let later = if *kept { "" } else { "; written as soon as its folder can be" };
            terminal::talk(&format!("{camera}: noted at {}{later}", time_of(*utc_ns)));
        }
    }
    Ok(ExitCode::SUCCESS)
}
