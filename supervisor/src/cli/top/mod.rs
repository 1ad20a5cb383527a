//! `top`: the whole project on one screen that goes on, or once for a script.
//!
//! `feed` asks the supervisor, in a thread of its own: a key is answered even while nothing else is.
//! `figures` makes rates of two looks, `view` is what is chosen and what a key means, `draw` shows it;
//! these three are pure.

mod draw;
mod feed;
mod figures;
mod once;
mod usage;
mod view;

use std::io::{self, IsTerminal};
use std::process::ExitCode;
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use ratatui::DefaultTerminal;
use ratatui::crossterm::event::{self, Event, KeyEventKind};

use super::interrupt::Interrupt;
use super::{CliError, Context, FileArg};
use feed::Feed;
use view::{Step, View};

pub(super) const EXAMPLES: &str = "Examples:
  framevisor top
  framevisor top --once
  framevisor top --once -o json";

/// How soon a signal or news from the supervisor is seen; a key is seen at once.
const LOOK_EVERY: Duration = Duration::from_millis(100);

#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Show it once, after a second of measuring, and end
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    pub(super) file: FileArg,
}

pub(super) fn run(context: &Context, args: &Args) -> Result<ExitCode, CliError> {
    let place = context.place()?;
    if args.once || context.is_json() {
        return once::run(context, &place);
    }
    if !io::stdout().is_terminal() || !io::stdin().is_terminal() {
        return Err(CliError::NoScreen);
    }
    // Who types a wrong project's name sees so before the screen is taken.
    feed::look(&place)?;
    let interrupt = Interrupt::listen()?;
    // Also restores the terminal when this program panics.
    let mut terminal = ratatui::try_init().map_err(CliError::io("terminal"))?;
    let ended = go_on(&mut terminal, Feed::start(place)?, &interrupt);
    let restored = ratatui::try_restore().map_err(CliError::io("terminal"));
    ended.and(restored).map(|()| ExitCode::SUCCESS)
}

fn go_on(
    terminal: &mut DefaultTerminal,
    feed: Feed,
    interrupt: &Interrupt,
) -> Result<(), CliError> {
    let mut view = View::default();
    let mut watched = None;
    while !interrupt.came() {
        loop {
            match feed.news.try_recv() {
                Ok(news) => view.learn(news),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Err(CliError::FeedEnded),
            }
        }
        if view.watched() != watched {
            watched = view.watched();
            feed.order(feed::Order::Watch(watched.clone()));
        }
        terminal.draw(|frame| draw::draw(frame, &mut view)).map_err(CliError::io("terminal"))?;
        if !event::poll(LOOK_EVERY).map_err(CliError::io("terminal"))? {
            continue;
        }
        // A new size is drawn by the next turn.
        let Event::Key(key) = event::read().map_err(CliError::io("terminal"))? else { continue };
        if key.kind == KeyEventKind::Release {
            continue;
        }
        match view.press(key) {
            Step::Stay => {}
            Step::Quit => return Ok(()),
            Step::Order(order) => feed.order(order),
        }
    }
    Ok(())
}
