//! Listening sockets: bound here before anything starts, inherited by workers, so that no restart
//! of a worker refuses a connection.

use std::fs;
use std::io;
use std::net::{SocketAddr, TcpListener};

use protocol::name::WorkerName;

use crate::topology::{Topology, WorkerSpec};

/// A socket and whose it is.
#[derive(Debug)]
pub(crate) struct Listener {
    pub(crate) worker: WorkerName,
    /// As the topology says it; the socket's own port differs where that is 0.
    pub(crate) address: SocketAddr,
    pub(crate) socket: TcpListener,
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    #[error(
        "worker {worker}: cannot listen on {address}: in use by {holder}; stop that or give {worker} another `listen:`"
    )]
    InUse { worker: WorkerName, address: SocketAddr, holder: String },
    #[error(
        "worker {worker}: cannot listen on {address}: {source}; give {worker} another `listen:`"
    )]
    Bind { worker: WorkerName, address: SocketAddr, source: io::Error },
}

/// Binds what the topology names; on an error nothing stays bound.
pub(crate) fn bind_all(topology: &Topology) -> Result<Vec<Listener>, ListenError> {
    wanted(topology).map(|(worker, address)| bind(worker, address)).collect()
}

/// Every address that the topology names, with its worker.
pub(crate) fn wanted(topology: &Topology) -> impl Iterator<Item = (&WorkerName, SocketAddr)> {
    let of = |worker| WorkerSpec::listens(worker).map(|address| (&worker.name, address));
    topology.workers.iter().flat_map(of)
}

pub(crate) fn bind(worker: &WorkerName, address: SocketAddr) -> Result<Listener, ListenError> {
    // std sets SO_REUSEADDR and close-on-exec.
    let socket = TcpListener::bind(address).map_err(|e| explain(worker, address, e))?;
    Ok(Listener { worker: worker.clone(), address, socket })
}

/// Those of a supervisor that was killed, told apart by their addresses; one that was not held is bound anew.
pub(crate) fn again(
    addresses: Vec<(WorkerName, SocketAddr)>,
    mut held: Vec<TcpListener>,
    topology: &Topology,
) -> Result<Vec<Listener>, ListenError> {
    let find = |(worker, address): (WorkerName, SocketAddr)| {
        let is_it = |socket: &TcpListener| socket.local_addr().is_ok_and(|own| own == address);
        let socket = match held.iter().position(is_it) {
            Some(at) => held.swap_remove(at),
            None => TcpListener::bind(address).map_err(|e| explain(&worker, address, e))?,
        };
        let address = as_written(topology, &worker, address).unwrap_or(address);
        Ok(Listener { worker, address, socket })
    };
    addresses.into_iter().map(find).collect()
}

/// What the topology has for the socket of a worker that is bound to `bound`.
pub(crate) fn as_written(
    topology: &Topology,
    worker: &WorkerName,
    bound: SocketAddr,
) -> Option<SocketAddr> {
    let is_it = |written: &SocketAddr| {
        // Port 0 stands for any.
        bound == *written || written.port() == 0 && bound.ip() == written.ip()
    };
    topology.worker(worker)?.listens().find(is_it)
}

fn explain(worker: &WorkerName, address: SocketAddr, source: io::Error) -> ListenError {
    let worker = worker.clone();
    if source.kind() == io::ErrorKind::AddrInUse {
        let holder = holder_of(address.port()).unwrap_or_else(|| "another program".to_owned());
        return ListenError::InUse { worker, address, holder };
    }
    ListenError::Bind { worker, address, source }
}

/// Who listens on a TCP port of this machine, as far as we may see it: `name (pid N)`.
fn holder_of(port: u16) -> Option<String> {
    let tables = ["/proc/net/tcp", "/proc/net/tcp6"];
    let inode = tables.iter().find_map(|table| {
        let text = fs::read_to_string(table).ok()?;
        text.lines().find_map(|line| listening_inode(line, port))
    })?;
    let link = format!("socket:[{inode}]");
    let pid = pids().find(|pid| has_open(*pid, &link))?;
    let name = fs::read_to_string(format!("/proc/{pid}/comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim()))
}

/// One line of /proc/net/tcp (proc(5)): `sl local remote st ... inode`; state 0A is LISTEN.
fn listening_inode(line: &str, port: u16) -> Option<u64> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let local = fields.get(1)?.rsplit(':').next()?;
    let ours = u16::from_str_radix(local, 16) == Ok(port) && *fields.get(3)? == "0A";
    fields.get(9)?.parse().ok().filter(|_| ours)
}

fn pids() -> impl Iterator<Item = u32> {
    let entries = fs::read_dir("/proc").into_iter().flatten();
    entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
}

fn has_open(pid: u32, link: &str) -> bool {
    let entries = fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten();
    entries
        .filter_map(|entry| fs::read_link(entry.ok()?.path()).ok())
        .any(|target| target.as_os_str() == link)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_in_use_names_its_holder() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        let refused = TcpListener::bind(address).unwrap_err();
        let worker = "web".parse().unwrap();
        let text = explain(&worker, address, refused).to_string();
        assert!(text.contains(&address.to_string()), "{text}");
        let me = format!("(pid {})", std::process::id());
        assert!(text.contains(&me) && text.contains("worker web"), "{text}");
    }
}
