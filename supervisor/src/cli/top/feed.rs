//! Asking the supervisor: each second, and whenever a key wants something. All waiting is here.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::thread;
use std::time::Duration;

use protocol::admin::{RingStatus, WorkerStatus};
use protocol::name::WorkerName;
use protocol::time::{MonoNs, UtcNs};
use shmring::clock;

use super::super::CliError;
use super::super::client::Client;
use super::usage::{self, Usage};
use crate::admin::verbs::{LogsWanted, Names, Status};
use crate::admin::why::{Whose, Why};
use crate::logs::LogLine;
use crate::place::Place;
use crate::selector::Selector;
use crate::topology::Graph;

pub(super) const EVERY: Duration = Duration::from_secs(1);
/// As many as the tallest screen shows.
const LINES: usize = 100;

/// The project at an instant.
#[derive(Clone, Debug)]
pub(super) struct Look {
    pub(super) at: MonoNs,
    pub(super) utc: UtcNs,
    pub(super) status: Status,
    pub(super) graph: Graph,
    pub(super) workers: Vec<WorkerStatus>,
    pub(super) rings: Vec<RingStatus>,
    /// By pid.
    pub(super) usage: BTreeMap<u32, Usage>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Restart(WorkerName),
    Start(WorkerName),
    Stop(WorkerName),
    /// Whose lines come from now on.
    Watch(Option<WorkerName>),
    Why(WorkerName),
}

#[derive(Debug)]
pub(super) enum News {
    Done(String),
    Lines(Vec<LogLine>),
    Look(Box<Look>),
    Trouble(String),
    Why(Box<Why>),
}

#[derive(Debug)]
pub(super) struct Feed {
    pub(super) news: Receiver<News>,
    orders: Sender<Order>,
}

impl Feed {
    pub(super) fn start(place: Place) -> Result<Self, CliError> {
        let (news, received) = channel();
        let (orders, taken) = channel();
        let asking = move || Asker { place, client: None, watched: None, news }.go_on(&taken);
        thread::Builder::new()
            .name("feed".to_owned())
            .spawn(asking)
            .map_err(CliError::io("thread of the feed"))?;
        Ok(Self { news: received, orders })
    }

    /// One that has ended is seen by its news.
    pub(super) fn order(&self, order: Order) {
        let _ = self.orders.send(order);
    }
}

/// One look, over a connection of its own.
pub(super) fn look(place: &Place) -> Result<Look, CliError> {
    look_with(&mut Client::connect(place)?)
}

fn look_with(client: &mut Client) -> Result<Look, CliError> {
    let status = client.ask("status", &())?;
    let graph = client.ask("graph", &())?;
    let workers: Vec<WorkerStatus> = client.ask("ps", &())?;
    let pids = workers.iter().filter_map(|worker| worker.pid);
    let usage = pids.filter_map(|pid| Some((pid, usage::of(pid)?))).collect();
    let rings = client.ask("rings", &())?;
    let now = clock::now();
    Ok(Look { at: now.mono, utc: now.utc, status, graph, workers, rings, usage })
}

struct Asker {
    place: Place,
    /// `None` until it is connected, and again after trouble.
    client: Option<Client>,
    watched: Option<WorkerName>,
    news: Sender<News>,
}

impl Asker {
    /// Until nobody listens any more.
    fn go_on(mut self, orders: &Receiver<Order>) {
        loop {
            let told = self.refresh();
            let order = match orders.recv_timeout(EVERY) {
                _ if told.is_err() => return,
                Ok(order) => order,
                Err(RecvTimeoutError::Timeout) => continue,
                Err(RecvTimeoutError::Disconnected) => return,
            };
            let news = self.carry_out(order);
            if news.is_some_and(|news| self.news.send(news).is_err()) {
                return;
            }
        }
    }

    fn refresh(&mut self) -> Result<(), std::sync::mpsc::SendError<News>> {
        match self.asked(look_with) {
            Ok(look) => self.news.send(News::Look(Box::new(look)))?,
            Err(trouble) => return self.news.send(trouble),
        }
        let names = self.watched.iter().map(|name| Selector::from(name.clone())).collect();
        let wanted =
            LogsWanted { names, lines: LINES, follow: false, since: None, grep: String::new() };
        if self.watched.is_some() {
            let lines = self.asked(|client| client.ask("logs", &wanted));
            self.news.send(lines.map_or_else(|trouble| trouble, News::Lines))?;
        }
        Ok(())
    }

    fn carry_out(&mut self, order: Order) -> Option<News> {
        let (verb, name, said) = match order {
            Order::Watch(name) => {
                self.watched = name;
                return None;
            }
            Order::Why(name) => {
                let why = self.asked(|client| client.ask("why", &Whose { name }));
                return Some(why.map_or_else(|trouble| trouble, |why| News::Why(Box::new(why))));
            }
            Order::Restart(name) => ("restart", name, "is being restarted"),
            Order::Start(name) => ("start", name, "is being started"),
            Order::Stop(name) => ("stop", name, "is being stopped; s starts it again"),
        };
        let names = Names { names: vec![name.clone().into()] };
        let done = self.asked(|client| client.ask::<serde_json::Value>(verb, &names));
        Some(done.map_or_else(|trouble| trouble, |_| News::Done(format!("{name} {said}"))))
    }

    fn asked<T>(
        &mut self,
        ask: impl FnOnce(&mut Client) -> Result<T, CliError>,
    ) -> Result<T, News> {
        let connected = match self.client.take() {
            Some(client) => Ok(client),
            None => Client::connect(&self.place),
        };
        let mut client = connected.map_err(|error| News::Trouble(error.to_string()))?;
        match ask(&mut client) {
            Ok(answer) => {
                self.client = Some(client);
                Ok(answer)
            }
            // What it refuses it has answered: the connection is good.
            Err(error @ CliError::Answer(_)) => {
                self.client = Some(client);
                Err(News::Done(error.to_string()))
            }
            Err(error) => Err(News::Trouble(error.to_string())),
        }
    }
}
