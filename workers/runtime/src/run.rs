//! From `main` to the exit code: handshake, step loop, stop.

use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use protocol::codec::FRAME_MAX_BYTES;
use protocol::control::{StartUp, ToSupervisor, env};
use protocol::exit::WorkerExit;
use signal_hook::consts::{SIGINT, SIGTERM, SIGXFSZ};
use spawn::HealthPage;

use crate::adoption::Adoption;
use crate::context::Context;
use crate::fault::Fault;
use crate::link::{Link, Message};
use crate::{STEP_WAIT, Step, Worker, drill, hand_over, log};

/// Leaves room for the frame around it.
const REPLY_MAX_BYTES: usize = FRAME_MAX_BYTES - 256;
/// Of why a message was not understood.
const WHY_MAX_CHARS: usize = 2_000;

/// The whole life of a worker process.
pub fn run<W: Worker>() -> ExitCode {
    log::init();
    let exit = match live::<W>() {
        Ok(()) => WorkerExit::Done,
        Err(fault) => {
            tracing::error!("{fault}");
            fault.exit()
        }
    };
    ExitCode::from(exit as u8)
}

fn live<W: Worker>() -> Result<(), Fault> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        signal_hook::flag::register(signal, Arc::clone(&stop)).map_err(Fault::failed)?;
    }
    take_no_harm_of_limits().map_err(Fault::failed)?;
    let link = open_link(&stop)?;
    let page = spawn::take_inherited(env::HEALTH_FD).map_err(Fault::contract)?;
    let adoption = Adoption::open(&page)?;
    let mut cx = open_context(link.clone(), stop, page)?;
    let config = cx_config::<W>(&cx)?;
    let mut worker = W::start(config, &mut cx)?;
    cx.beat();
    if let Some(adoption) = adoption {
        link.outlive_the_supervisor(adoption)?;
    }
    link.send(&ToSupervisor::Ready)?;
    step_until_stopped(&mut worker, &mut cx)?;
    worker.stop(&mut cx)?;
    if link.is_orphaned() {
        return Err(Fault::orphaned("the supervisor is gone"));
    }
    link.send(&ToSupervisor::Stopped)
}

/// A write beyond the largest file that is allowed (`ulimit -f`) is an error, which who writes tells; without
/// a handler it would be the end of the process. Nobody reads the flag.
fn take_no_harm_of_limits() -> std::io::Result<()> {
    signal_hook::flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map(drop)
}

fn step_until_stopped<W: Worker>(worker: &mut W, cx: &mut Context) -> Result<(), Fault> {
    while !cx.stopping() {
        cx.beat();
        if drill::hangs() {
            thread::sleep(STEP_WAIT);
        } else {
            answer_messages(worker, cx)?;
            if worker.step(cx)? == Step::Done {
                break;
            }
        }
    }
    Ok(())
}

fn answer_messages<W: Worker>(worker: &mut W, cx: &mut Context) -> Result<(), Fault> {
    let link = cx.link();
    while let Some(Message { id, body }) = link.take_message() {
        let message = serde_json::from_str(&body).map_err(|error| error.to_string());
        let reply = message.and_then(|message| worker.message(cx, message));
        let result = fitting(reply.map(|reply| reply.to_string()));
        link.send(&ToSupervisor::Reply { to: id, result })?;
    }
    Ok(())
}

/// A reply that no message can hold is an error for who asks, and no end of the worker.
fn fitting(reply: Result<String, String>) -> Result<String, String> {
    match reply {
        Ok(text) if text.len() > REPLY_MAX_BYTES => {
            let seen = text.len();
            Err(format!("its reply has {seen} bytes: at most {REPLY_MAX_BYTES} fit into a message"))
        }
        // What was asked may be repeated in it.
        Err(why) => Err(why.chars().take(WHY_MAX_CHARS).collect()),
        reply => reply,
    }
}

fn open_link(stop: &Arc<AtomicBool>) -> Result<Link, Fault> {
    let socket = spawn::take_inherited(env::CONTROL_FD).map_err(|error| {
        Fault::contract(format!("{error}; workers are started by `framevisor up`, not by hand"))
    })?;
    let link = Link::new(socket, Arc::clone(stop));
    let receiver = link.clone();
    let started =
        thread::Builder::new().name("control".into()).spawn(move || receiver.receive_all());
    started.map_err(Fault::failed)?;
    Ok(link)
}

fn open_context(link: Link, stop: Arc<AtomicBool>, page: OwnedFd) -> Result<Context, Fault> {
    let health = HealthPage::map(page).map_err(Fault::contract)?;
    let sockets = spawn::take_inherited_list(env::LISTEN_FDS).map_err(Fault::contract)?;
    let listeners = sockets.into_iter().map(TcpListener::from).collect();
    let start_up: StartUp = hand_over::receive(&link)?;
    Ok(Context::new(start_up, health, link, stop, listeners))
}

fn cx_config<W: Worker>(cx: &Context) -> Result<W::Config, Fault> {
    let config = cx.config().clone();
    let kind = config.kind();
    W::section(config)
        .ok_or_else(|| Fault::contract(format!("started with the section of a {kind} worker")))
}

#[cfg(test)]
mod tests {
    use protocol::codec;

    use super::*;

    #[test]
    fn a_reply_that_is_too_long_is_told_as_an_error_that_fits() {
        assert_eq!(fitting(Ok("{}".to_owned())), Ok("{}".to_owned()));
        for text in ["x".repeat(REPLY_MAX_BYTES), "\u{fc}".repeat(FRAME_MAX_BYTES)] {
            for reply in [Ok(text.clone()), Err(text)] {
                let result = fitting(reply);
                codec::encode(&ToSupervisor::Reply { to: u64::MAX, result }).unwrap();
            }
        }
        let refused = fitting(Ok("x".repeat(FRAME_MAX_BYTES))).unwrap_err();
        assert!(refused.contains("65536 bytes"), "{refused}");
    }
}
