//! `discover`: which ONVIF cameras are on the networks of this machine. The discover program asks them; this one
//! knows who asks, and how the answer is shown.

use std::fmt::Write as _;
use std::io::{self, BufRead, Write as _};
use std::net::{Ipv4Addr, SocketAddr};
use std::process::{ExitCode, Stdio};

use protocol::units::Span;
use protocol::verb::{Discover, Discovered, DiscoveredDevice, DiscoveredProfile};

use super::{CliError, Context, FormArg, table, terminal};
use crate::launch;

pub(super) const EXAMPLES: &str = "Examples:
  framevisor discover
  framevisor discover --on 10.0.0.2 --within 5s
  framevisor discover --user operator --password '${CAMERA_PASSWORD}'
  framevisor -o json discover --to 10.0.0.5:3702";

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Ask on the network of this address of this machine; may be given again [default: all of them]
    #[arg(long, value_name = "ADDRESS", conflicts_with = "to")]
    on: Vec<Ipv4Addr>,
    /// Ask this device alone; may be given again. Its port is mostly 3702
    #[arg(long, value_name = "ADDRESS:PORT")]
    to: Vec<SocketAddr>,
    /// How long answers are waited for
    #[arg(long, value_name = "SPAN", default_value = "3s")]
    within: Span,
    /// Ask each device for its streams, as this user
    #[arg(long, value_name = "NAME")]
    user: Option<String>,
    /// The user's password, in which ${NAME} stands for a variable [default: a line of stdin]
    #[arg(long, value_name = "TEXT", requires = "user")]
    password: Option<String>,
    #[command(flatten)]
    pub(super) form: FormArg,
}

pub(super) fn run(context: &Context, args: Args) -> Result<ExitCode, CliError> {
    let login = login(&args)?;
    let wanted =
        Discover { on: args.on, to: args.to, within: args.within, has_login: login.is_some() };
    let mut command = launch::verb("discover", "discover", &wanted)?;
    let start = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = start.map_err(CliError::io("start the program of the verb"))?;
    if let (Some(mut stdin), Some((user, password))) = (child.stdin.take(), login) {
        // One that has ended already says why itself.
        let _ = writeln!(stdin, "{user}\n{password}");
    }
    let output = child.wait_with_output().map_err(CliError::io("the program of the verb"))?;
    if !output.status.success() {
        let code = output.status.code().and_then(|code| u8::try_from(code).ok());
        return Ok(code.map_or(ExitCode::FAILURE, ExitCode::from));
    }
    let found: Discovered =
        serde_json::from_slice(&output.stdout).map_err(CliError::skew("discover"))?;
    if context.is_json() {
        terminal::json(&found)?;
    } else if found.devices.is_empty() {
        terminal::talk(
            "nobody answered; cameras of other networks are asked with --to ADDRESS:3702, and many have ONVIF turned off",
        );
    } else {
        terminal::data(&in_words(&found))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn login(args: &Args) -> Result<Option<(String, String)>, CliError> {
    let Some(user) = &args.user else { return Ok(None) };
    let password = match &args.password {
        Some(text) => super::probe::filled(text, |name| std::env::var(name).ok())?,
        None => {
            let mut line = String::new();
            io::stdin().lock().read_line(&mut line).map_err(CliError::io("stdin"))?;
            line.trim_end_matches(['\r', '\n']).to_owned()
        }
    };
    Ok(Some((user.clone(), password)))
}

fn in_words(found: &Discovered) -> String {
    let head = ["ADDRESS", "NAME", "HARDWARE", "STREAM", "CODEC", "SIZE", "RATE", "URL"];
    let rows: Vec<Vec<String>> = found.devices.iter().flat_map(rows).collect();
    let mut text = table::render(&head, &rows);
    if !found.topology.is_empty() {
        let _ = writeln!(text, "\nfor the topology:\n\n{}", found.topology.trim_end());
    }
    text
}

/// One for each stream, or one that says why there is none.
fn rows(device: &DiscoveredDevice) -> Vec<Vec<String>> {
    let of_device = |rest: [String; 5]| {
        let name = device.name.clone().unwrap_or_default();
        let hardware = device.hardware.clone().unwrap_or_default();
        [device.from.to_string(), name, hardware].into_iter().chain(rest).collect::<Vec<String>>()
    };
    let none = String::new;
    match &device.problem {
        Some(problem) => {
            vec![of_device([none(), none(), none(), none(), format!("({problem})")])]
        }
        None if device.profiles.is_empty() => {
            vec![of_device([none(), none(), none(), none(), "(no streams)".to_owned()])]
        }
        None => device.profiles.iter().map(|profile| of_device(cells(profile))).collect(),
    }
}

fn cells(profile: &DiscoveredProfile) -> [String; 5] {
    let text = |value: Option<String>| value.unwrap_or_default();
    [
        profile.name.clone(),
        text(profile.codec.clone()),
        text(profile.size.map(|size| size.to_string())),
        text(profile.rate.map(|rate| rate.to_string())),
        text(profile.url.clone()),
    ]
}

#[cfg(test)]
mod tests {
    use protocol::units::Size;

    use super::*;

    #[test]
    fn a_device_has_a_line_for_each_stream_or_one_that_says_why_there_is_none() {
        let profile = DiscoveredProfile {
            name: "main".to_owned(),
            codec: Some("H264".to_owned()),
            size: Some(Size { width: 640, height: 360 }),
            rate: Some(25),
            bit_rate: None,
            url: Some("rtsp://10.0.0.5/main".to_owned()),
        };
        let device = |last, profiles, problem| DiscoveredDevice {
            endpoint: "urn:uuid:1".to_owned(),
            from: [10, 0, 0, last].into(),
            service: "http://10.0.0.5/onvif".to_owned(),
            name: Some("Gate".to_owned()),
            hardware: None,
            location: None,
            profiles,
            problem,
        };
        let devices = vec![
            device(5, vec![profile], None),
            device(6, Vec::new(), Some("it wants a user".to_owned())),
        ];
        let told = in_words(&Discovered { devices, topology: "version: 1\n".to_owned() });
        let expected = "ADDRESS   NAME  HARDWARE  STREAM  CODEC  SIZE     RATE  URL
10.0.0.5  Gate            main    H264   640x360  25    rtsp://10.0.0.5/main
10.0.0.6  Gate                                          (it wants a user)

for the topology:

version: 1
";
        assert_eq!(told, expected);
    }
}
