//! The verb: who is there, then each of them at once for its streams.

use std::io::{self, BufRead};
use std::net::IpAddr;
use std::time::Duration;

use https::Client;
use protocol::verb::{Discover, Discovered, DiscoveredDevice};
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use tokio::time::timeout;
use worker::verb::{VerbError, answer, arguments};

use crate::answers::Match;
use crate::device::{Device, addressed};
use crate::lines;
use crate::multicast::{self, Found};
use crate::soap::Login;

/// For all questions to a device: one that lets each wait to its own deadline would take minutes.
const TELLS_WITHIN: Duration = Duration::from_secs(15);

/// Arguments as JSON; user and password, if any, as lines on stdin.
pub(crate) fn verb(text: &str) -> Result<(), VerbError> {
    let wanted: Discover = arguments(text)?;
    let login = if wanted.has_login { Some(login(&mut io::stdin().lock())?) } else { None };
    answer(&discovered(&wanted, login)?)
}

fn login(lines: &mut impl BufRead) -> Result<Login, VerbError> {
    let mut line = || {
        let mut text = String::new();
        lines.read_line(&mut text).map_err(VerbError::failed)?;
        Ok::<_, VerbError>(text.trim_end_matches(['\r', '\n']).to_owned())
    };
    Ok(Login { user: line()?, password: line()? })
}

fn discovered(wanted: &Discover, login: Option<Login>) -> Result<Discovered, VerbError> {
    let within = wanted.within.duration();
    let found = if wanted.to.is_empty() {
        multicast::everybody(&wanted.on, within)
    } else {
        multicast::these(&wanted.to, within)
    };
    let network = |error: io::Error| {
        VerbError::failed(format!("cannot ask the network: {error}; is an address of it wrong?"))
    };
    let has_login = login.is_some();
    let devices = asked(found.map_err(network)?, login)?;
    let topology = lines::topology(&devices, has_login);
    Ok(Discovered { devices, topology })
}

/// All at once: one that does not answer holds up nobody.
fn asked(found: Found, login: Option<Login>) -> Result<Vec<DiscoveredDevice>, VerbError> {
    let client = Client::new(None).map_err(VerbError::failed)?;
    let runtime = Builder::new_current_thread().enable_all().build().map_err(VerbError::failed)?;
    let mut devices = runtime.block_on(async {
        let mut open = JoinSet::new();
        for (from, found) in found {
            let (client, login) = (client.clone(), login.clone());
            open.spawn(async move { device(&client, from, found, login.as_ref()).await });
        }
        let mut devices = Vec::new();
        while let Some(done) = open.join_next().await {
            devices.extend(done.ok());
        }
        devices
    });
    devices.sort_by(|one, other| (one.from, &one.endpoint).cmp(&(other.from, &other.endpoint)));
    Ok(devices)
}

async fn device(
    client: &Client,
    from: IpAddr,
    found: Match,
    login: Option<&Login>,
) -> DiscoveredDevice {
    let mut device = Device::new(client, from, login);
    // A device of several networks names an address on each; that it answered from is the one to take.
    let is_its = |service: &&String| addressed(service).is_some_and(|(_, address)| address == from);
    let service = found.services.iter().find(is_its).or_else(|| found.services.first());
    let service = service.cloned().unwrap_or_default();
    let (profiles, problem) = match timeout(TELLS_WITHIN, device.profiles(&service)).await {
        Ok(Ok(profiles)) => (profiles, None),
        Ok(Err(problem)) => (Vec::new(), Some(problem.to_string())),
        Err(_) => {
            let seconds = TELLS_WITHIN.as_secs();
            (Vec::new(), Some(format!("it has not told all its streams within {seconds} s")))
        }
    };
    let Match { endpoint, name, hardware, location, .. } = found;
    // As with names: a terminal may be shown it.
    let service = service.chars().filter(|c| !c.is_control()).collect();
    DiscoveredDevice { endpoint, from, service, name, hardware, location, profiles, problem }
}

#[cfg(test)]
mod tests;
