//! Telling the service manager how the project is: sd_notify(3), over a datagram socket that never makes
//! the supervisor wait. systemd calls the guard its main process, so the unit says `NotifyAccess=all`.

use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use protocol::time::MonoNs;

/// The socket's address; of an abstract one the first character is `@`.
const SOCKET: &str = "NOTIFY_SOCKET";
/// So often at least it wants to hear that all is well, and from whom.
const WATCHDOG_USEC: &str = "WATCHDOG_USEC";
const WATCHDOG_PID: &str = "WATCHDOG_PID";

/// The service manager, where one started this project.
#[derive(Debug, Default)]
pub(crate) struct Manager {
    socket: Option<UnixDatagram>,
    /// How often it is told, half of what it asks for, and when next.
    watchdog: Option<(Duration, MonoNs)>,
}

impl Manager {
    /// What the environment names; `guard` is the process that the service manager has started.
    pub(crate) fn of_environment(guard: u32) -> Self {
        let Some(address) = std::env::var_os(SOCKET) else { return Self::default() };
        let socket = connect(address.as_bytes()).inspect_err(|error| {
            tracing::warn!(%error, "the service manager at {SOCKET} cannot be told anything");
        });
        let number = |name| std::env::var(name).ok()?.parse::<u64>().ok();
        let is_meant = number(WATCHDOG_PID).is_none_or(|pid| pid == u64::from(guard));
        let asked = number(WATCHDOG_USEC).filter(|usec| is_meant && *usec > 0);
        let watchdog = asked.map(|usec| (Duration::from_micros(usec) / 2, MonoNs(0)));
        Self { socket: socket.ok(), watchdog }
    }

    pub(crate) fn ready(&self, workers: usize) {
        self.tell(&format!("READY=1\nSTATUS={workers} workers"));
    }

    pub(crate) fn stopping(&self) {
        self.tell("STOPPING=1");
    }

    /// When [`Self::beat`] is due next.
    pub(crate) fn next_beat(&self) -> Option<MonoNs> {
        self.watchdog.map(|(_, next)| next)
    }

    pub(crate) fn beat(&mut self, now: MonoNs) {
        if let Some((every, next)) = &mut self.watchdog
            && now >= *next
        {
            *next = now + *every;
            self.tell("WATCHDOG=1");
        }
    }

    fn tell(&self, text: &str) {
        let Some(socket) = &self.socket else { return };
        // A manager that does not read misses it; it asked for nothing better.
        if let Err(error) = socket.send(text.as_bytes()) {
            tracing::debug!(%error, text, "the service manager was not told");
        }
    }
}

fn connect(address: &[u8]) -> io::Result<UnixDatagram> {
    let address = match address {
        [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
        path => SocketAddr::from_pathname(std::ffi::OsStr::from_bytes(path))?,
    };
    let socket = UnixDatagram::unbound()?;
    socket.set_nonblocking(true)?;
    socket.connect_addr(&address)?;
    Ok(socket)
}
