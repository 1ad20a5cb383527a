//! What is chosen on the screen, and what a key does to it. Pure.

use std::collections::BTreeMap;

use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
use protocol::name::WorkerName;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::super::why;
use super::feed::{Look, News, Order};
use super::figures::{Figures, Key, Series, figures};
use crate::logs::LogLine;

/// Rows that a Page key moves by; about half of a usual terminal.
const PAGE: i16 = 12;
/// The group of workers that belong to no single camera.
pub(super) const SHARED: &str = "shared";

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Step {
    Order(Order),
    Quit,
    Stay,
}

/// What keys mean now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) enum Mode {
    #[default]
    Tree,
    /// The filter is being typed.
    Filter,
    Help,
    /// A page over the tree, and how far it is scrolled.
    Page(String, u16),
}

/// A line of the tree.
#[derive(Debug)]
pub(super) enum Line<'a> {
    Camera(String),
    Worker(&'a WorkerStatus),
    Ring(&'a RingStatus),
}

#[derive(Debug, Default)]
pub(super) struct View {
    pub(super) look: Option<Look>,
    pub(super) figures: BTreeMap<Key, Figures>,
    pub(super) series: BTreeMap<Key, Series>,
    pub(super) lines: Vec<LogLine>,
    pub(super) selected: Option<Key>,
    /// The first line of the tree that is on the screen; `draw` keeps it.
    pub(super) offset: usize,
    pub(super) filter: String,
    pub(super) mode: Mode,
    pub(super) logs_hidden: bool,
    pub(super) rings_shown: bool,
    /// What the last key did.
    pub(super) said: String,
    /// Why nothing new comes.
    pub(super) trouble: Option<String>,
}

impl View {
    pub(super) fn learn(&mut self, news: News) {
        match news {
            News::Done(said) => self.said = said,
            News::Lines(lines) => self.lines = lines,
            News::Look(look) => self.take(*look),
            News::Trouble(why) => self.trouble = Some(why),
            News::Why(why) => self.mode = Mode::Page(why::page(&why), 0),
        }
    }

    fn take(&mut self, look: Look) {
        self.figures = figures(self.look.as_ref(), &look);
        // Of those that are gone nothing is kept.
        self.series.retain(|key, _| self.figures.contains_key(key));
        for (key, figures) in &self.figures {
            self.series.entry(key.clone()).or_default().add(figures);
        }
        self.look = Some(look);
        self.trouble = None;
        self.choose_what_is_there();
    }

    /// The first line, when what was chosen is gone or filtered out.
    fn choose_what_is_there(&mut self) {
        let keys = self.keys();
        if self.selected.as_ref().is_none_or(|selected| !keys.contains(selected)) {
            self.selected = keys.into_iter().next();
        }
    }

    /// Cameras in the order of the file, each with its workers; those of no camera last.
    pub(super) fn tree(&self) -> Vec<Line<'_>> {
        let Some(look) = &self.look else { return Vec::new() };
        let cameras = look.graph.cameras();
        let camera = |worker: &WorkerStatus| cameras.get(&worker.name).map(String::as_str);
        let mut order: Vec<&str> = Vec::new();
        for name in look.workers.iter().filter_map(camera) {
            if !order.contains(&name) {
                order.push(name);
            }
        }
        let mut tree = Vec::new();
        for group in order.into_iter().map(Some).chain([None]) {
            let of_group = look.workers.iter().filter(|worker| camera(worker) == group);
            let mut shown = of_group.filter(|worker| self.wants(worker, group)).peekable();
            if shown.peek().is_some() {
                tree.push(Line::Camera(group.unwrap_or(SHARED).to_owned()));
            }
            for worker in shown {
                tree.push(Line::Worker(worker));
                tree.extend(self.ring_of(look, worker).map(Line::Ring));
            }
        }
        tree
    }

    fn wants(&self, worker: &WorkerStatus, camera: Option<&str>) -> bool {
        let texts = [worker.name.as_str(), &worker.kind, worker.state.as_str()];
        texts.into_iter().chain(camera).any(|text| text.contains(&self.filter))
    }

    fn ring_of<'a>(&self, look: &'a Look, worker: &WorkerStatus) -> Option<&'a RingStatus> {
        let edge = look.graph.rings.iter().find(|ring| ring.writer == worker.name)?;
        look.rings.iter().find(|ring| ring.name == edge.name).filter(|_| self.rings_shown)
    }

    fn keys(&self) -> Vec<Key> {
        self.tree().iter().filter_map(Line::key).collect()
    }

    /// The chosen worker; of a ring its writer.
    pub(super) fn worker(&self) -> Option<&WorkerStatus> {
        let look = self.look.as_ref()?;
        let name = match self.selected.as_ref()? {
            Key::Worker(name) => name,
            Key::Ring(ring) => &look.graph.rings.iter().find(|edge| edge.name == *ring)?.writer,
        };
        look.workers.iter().find(|worker| worker.name == *name)
    }

    /// Whose lines are wanted.
    pub(super) fn watched(&self) -> Option<WorkerName> {
        self.worker().filter(|_| !self.logs_hidden).map(|worker| worker.name.clone())
    }

    pub(super) fn press(&mut self, key: KeyEvent) -> Step {
        if key.modifiers.contains(KeyModifiers::CONTROL) && key.code == KeyCode::Char('c') {
            return Step::Quit;
        }
        match self.mode.clone() {
            Mode::Filter => self.press_in_filter(key.code),
            Mode::Help => self.mode = Mode::Tree,
            Mode::Page(page, at) => self.press_in_page(page, at, key.code),
            Mode::Tree => return self.press_in_tree(key.code),
        }
        Step::Stay
    }

    fn press_in_filter(&mut self, code: KeyCode) {
        match code {
            KeyCode::Char(c) => self.filter.push(c),
            KeyCode::Backspace => drop(self.filter.pop()),
            KeyCode::Enter => self.mode = Mode::Tree,
            KeyCode::Esc => {
                self.filter.clear();
                self.mode = Mode::Tree;
            }
            _ => {}
        }
        self.choose_what_is_there();
    }

    fn press_in_page(&mut self, page: String, at: u16, code: KeyCode) {
        let last = u16::try_from(page.lines().count().saturating_sub(1)).unwrap_or(u16::MAX);
        let to = match code {
            KeyCode::Char('j') | KeyCode::Down => at.saturating_add(1),
            KeyCode::Char('k') | KeyCode::Up => at.saturating_sub(1),
            KeyCode::PageDown | KeyCode::Char(' ') => at.saturating_add(PAGE.unsigned_abs()),
            KeyCode::PageUp => at.saturating_sub(PAGE.unsigned_abs()),
            KeyCode::Home => 0,
            KeyCode::End => last,
            _ => {
                self.mode = Mode::Tree;
                return;
            }
        };
        self.mode = Mode::Page(page, to.min(last));
    }

    fn press_in_tree(&mut self, code: KeyCode) -> Step {
        self.said.clear();
        match code {
            KeyCode::Char('q') => return Step::Quit,
            KeyCode::Char('j') | KeyCode::Down => self.go(1),
            KeyCode::Char('k') | KeyCode::Up => self.go(-1),
            KeyCode::PageDown => self.go(PAGE.into()),
            KeyCode::PageUp => self.go((-PAGE).into()),
            KeyCode::Home => self.go(isize::MIN),
            KeyCode::End => self.go(isize::MAX),
            KeyCode::Char('l') => self.logs_hidden = !self.logs_hidden,
            KeyCode::Char('g') => {
                self.rings_shown = !self.rings_shown;
                self.choose_what_is_there();
            }
            KeyCode::Char('/') => self.mode = Mode::Filter,
            KeyCode::Char('?') => self.mode = Mode::Help,
            KeyCode::Esc => {
                self.filter.clear();
                self.choose_what_is_there();
            }
            KeyCode::Char(c @ ('r' | 's' | 'w')) => return self.order(c),
            _ => {}
        }
        Step::Stay
    }

    fn order(&mut self, key: char) -> Step {
        let Some(worker) = self.worker() else { return Step::Stay };
        let (name, stopped) = (worker.name.clone(), worker.state == WorkerState::Stopped);
        Step::Order(match key {
            'r' => Order::Restart(name),
            's' if stopped => Order::Start(name),
            's' => Order::Stop(name),
            _ => Order::Why(name),
        })
    }

    fn go(&mut self, by: isize) {
        let keys = self.keys();
        let Some(last) = keys.len().checked_sub(1) else { return };
        let at = keys.iter().position(|key| Some(key) == self.selected.as_ref()).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(last);
        self.selected = keys.into_iter().nth(to);
    }
}

impl Line<'_> {
    /// A camera's own line has no figures, and cannot be chosen.
    pub(super) fn key(&self) -> Option<Key> {
        match self {
            Self::Camera(_) => None,
            Self::Worker(worker) => Some(Key::Worker(worker.name.clone())),
            Self::Ring(ring) => Some(Key::Ring(ring.name.clone())),
        }
    }
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
