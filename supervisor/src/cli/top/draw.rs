//! The screen: a head, the tree, lines of what is chosen, its log, the keys. What does not fit is left
//! out from the bottom up, the tree last.

use protocol::admin::{RingStatus, WorkerState, WorkerStatus};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line as Words, Text};
use ratatui::widgets::{Block, Borders, Cell, Clear, Paragraph, Row, Sparkline, Table, TableState};

use super::super::events::time_of;
use super::super::table;
use super::figures::{Figures, Key, Series};
use super::view::{Line, Mode, View};

/// Lines and log are shown on screens of at least so many rows.
const ROWS_FOR_LINES: u16 = 14;
const ROWS_FOR_LOG: u16 = 22;
const KEYS: &str = " r restart  s stop/start  w why  l log  g rings  / filter  ? help  q quit";
const HELP: &str = "\
j k, arrows      the next and the previous line; PageUp, PageDown, Home, End
r                restart the worker
s                stop the worker, or start it when it is stopped
w                why it is as it is, and its last deaths; any other key goes back
l                its log, or more room for the tree
g                rings below their writers
/                show only what has this text in its name, camera, kind or state
Esc              show everything again
q, Ctrl-C        end; the project goes on

RATE   items a second: what it writes; of one that only reads, what it takes
LAG    items that it is behind; of a ring, its slowest reader
DROPS  items lost so far: missed by it, or refused by its ring
CPU    of one processor; MEM without shared memory

any key goes back";

pub(super) fn draw(frame: &mut Frame<'_>, view: &mut View) {
    let height = frame.area().height;
    let lines = if height >= ROWS_FOR_LINES { 4 } else { 0 };
    let log = if height >= ROWS_FOR_LOG && !view.logs_hidden { height / 4 } else { 0 };
    let parts = [
        Constraint::Length(1),
        Constraint::Min(1),
        Constraint::Length(lines),
        Constraint::Length(log),
        Constraint::Length(1),
    ];
    let [head, tree, lines, log, keys] = Layout::vertical(parts).areas(frame.area());
    frame.render_widget(head_of(view), head);
    draw_tree(frame, view, tree);
    draw_lines(frame, view, lines);
    draw_log(frame, view, log);
    frame.render_widget(foot_of(view), keys);
    match &view.mode {
        Mode::Help => draw_page(frame, "keys", HELP, 0),
        Mode::Page(page, at) => draw_page(frame, "why", page, *at),
        Mode::Filter | Mode::Tree => {}
    }
}

fn head_of(view: &View) -> Paragraph<'static> {
    if let Some(trouble) = &view.trouble {
        let style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
        return Paragraph::new(format!(" {trouble}; trying again")).style(style);
    }
    let Some(look) = &view.look else { return Paragraph::new(" asking the supervisor") };
    let count = |wanted: fn(&WorkerStatus) -> bool| {
        look.workers.iter().filter(|worker| wanted(worker)).count()
    };
    let well = count(|w| matches!(w.state, WorkerState::Ready | WorkerState::Running));
    let text = format!(
        " {}  {} workers, {well} well, {} stopped  {} rings  supervisor {}  up {}{}",
        look.status.project,
        look.workers.len(),
        count(|worker| worker.state == WorkerState::Stopped),
        look.rings.len(),
        look.status.supervisor,
        table::span(look.status.uptime_s),
        if look.status.stopping { "  stopping" } else { "" },
    );
    Paragraph::new(text).style(Style::new().add_modifier(Modifier::BOLD))
}

fn foot_of(view: &View) -> Paragraph<'static> {
    let text = match &view.mode {
        Mode::Filter => format!(" /{}_", view.filter),
        _ if !view.said.is_empty() => format!(" {}", view.said),
        _ if !view.filter.is_empty() => format!(" /{}  (Esc shows all){KEYS}", view.filter),
        _ => KEYS.to_owned(),
    };
    Paragraph::new(text).style(Style::new().add_modifier(Modifier::REVERSED))
}

const HEAD: [&str; 12] =
    ["NAME", "KIND", "STATE", "PID", "UP", "RESTARTS", "RATE", "LAG", "DROPS", "CPU", "MEM", "WHY"];
const WIDTHS: [u16; 11] = [24, 9, 11, 8, 7, 8, 8, 6, 7, 6, 9];

fn draw_tree(frame: &mut Frame<'_>, view: &mut View, area: Rect) {
    let tree = view.tree();
    if tree.is_empty() && view.look.is_some() {
        let none = if view.filter.is_empty() { " no workers" } else { " nothing has this text" };
        frame.render_widget(Paragraph::new(none), area);
        return;
    }
    let is_selected = |line: &Line<'_>| line.key().is_some() && line.key() == view.selected;
    let selected = tree.iter().position(is_selected);
    let rows: Vec<Row<'_>> = tree.iter().map(|line| row(view, line)).collect();
    drop(tree);
    let widths = WIDTHS.map(Constraint::Length).into_iter().chain([Constraint::Min(10)]);
    let head = Row::new(HEAD).style(Style::new().add_modifier(Modifier::BOLD));
    let table = Table::new(rows, widths)
        .header(head)
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut state = TableState::new().with_offset(view.offset).with_selected(selected);
    frame.render_stateful_widget(table, area, &mut state);
    view.offset = state.offset();
}

fn row(view: &View, line: &Line<'_>) -> Row<'static> {
    let figures =
        |key: Option<Key>| key.and_then(|key| view.figures.get(&key).copied()).unwrap_or_default();
    match line {
        Line::Camera(name) => Row::new([name.clone()]).style(Style::new().fg(Color::Cyan)),
        Line::Worker(worker) => worker_row(worker, &figures(line.key())),
        Line::Ring(ring) => ring_row(ring, &figures(line.key())),
    }
}

fn worker_row(worker: &WorkerStatus, figures: &Figures) -> Row<'static> {
    let state = Cell::from(worker.state.as_str()).style(colour(worker.state));
    let mut cells = cells(worker, figures).map(Cell::from);
    cells[0] = Cell::from(format!("  {}", worker.name));
    cells[2] = state;
    Row::new(cells)
}

/// The columns of a worker, in the order of the head.
pub(super) fn cells(worker: &WorkerStatus, figures: &Figures) -> [String; 12] {
    let dash = || "-".to_owned();
    let why = if worker.why.is_empty() { &worker.last_exit } else { &worker.why };
    [
        worker.name.to_string(),
        worker.kind.clone(),
        worker.state.as_str().to_owned(),
        worker.pid.map_or_else(dash, |pid| pid.to_string()),
        worker.pid.map_or_else(dash, |_| table::span(worker.uptime_s)),
        worker.restarts.to_string(),
        figures.rate_hz.map_or_else(dash, |rate| format!("{rate:.1}/s")),
        figures.lag.to_string(),
        figures.drops.to_string(),
        figures.cpu_percent.map_or_else(dash, |percent| format!("{percent:.0}%")),
        figures.private_bytes.map_or_else(dash, table::bytes),
        if why.is_empty() { dash() } else { why.clone() },
    ]
}

pub(super) fn head() -> [&'static str; 12] {
    HEAD
}

fn ring_row(ring: &RingStatus, figures: &Figures) -> Row<'static> {
    let empty = String::new;
    let state = if ring.live { "flows" } else { "no writer" };
    Row::new([
        format!("    {}", ring.name),
        "ring".to_owned(),
        state.to_owned(),
        empty(),
        empty(),
        empty(),
        figures.rate_hz.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s")),
        figures.lag.to_string(),
        figures.drops.to_string(),
        empty(),
        table::bytes(ring.bytes),
        format!("{} readers", ring.readers.len()),
    ])
    .style(Style::new().add_modifier(Modifier::DIM))
}

fn colour(state: WorkerState) -> Style {
    let colour = match state {
        WorkerState::Running => Color::Green,
        WorkerState::Ready | WorkerState::Starting => Color::Blue,
        WorkerState::Degraded
        | WorkerState::Draining
        | WorkerState::Stopping
        | WorkerState::Backoff => Color::Yellow,
        WorkerState::Held | WorkerState::Quarantined => Color::Red,
        WorkerState::Stopped => Color::DarkGray,
    };
    // Programs that dislike colours say so: https://no-color.org
    if std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty()) {
        return Style::new();
    }
    Style::new().fg(colour)
}

fn draw_lines(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(key) = &view.selected else { return };
    let (Some(series), Some(figures)) = (view.series.get(key), view.figures.get(key)) else {
        return;
    };
    let name = match key {
        Key::Worker(name) => name.as_str(),
        Key::Ring(name) => name.as_str(),
    };
    let Series { rate, lag, drops, .. } = series;
    let rate_now = figures.rate_hz.map_or_else(|| "-".to_owned(), |rate| format!("{rate:.1}/s"));
    let titles = [
        (format!("{name}: rate {rate_now}"), rate),
        (format!("lag {}", figures.lag), lag),
        (format!("drops {}", figures.drops), drops),
    ];
    let places: [Rect; 3] = Layout::horizontal([Constraint::Fill(1); 3]).areas(area);
    for ((title, values), place) in titles.into_iter().zip(places) {
        let block = Block::new().borders(Borders::TOP).title(title);
        let width = usize::from(place.width);
        let newest = &values[values.len().saturating_sub(width)..];
        frame.render_widget(Sparkline::default().block(block).data(newest), place);
    }
}

fn draw_log(frame: &mut Frame<'_>, view: &View, area: Rect) {
    let Some(worker) = view.worker().filter(|_| area.height > 1) else { return };
    let block = Block::new().borders(Borders::TOP).title(format!("log of {}", worker.name));
    let rows = usize::from(area.height.saturating_sub(1));
    let own: Vec<_> = view.lines.iter().filter(|line| line.worker == worker.name).collect();
    let newest = own[own.len().saturating_sub(rows)..].iter();
    // The time of day is enough of it here.
    let time = |text: String| text.get(11..23).map(str::to_owned).unwrap_or(text);
    let words = newest
        .map(|line| Words::from(format!("{} {}", time(time_of(line.time_utc_ns)), line.text)));
    frame.render_widget(Paragraph::new(Text::from_iter(words)).block(block), area);
}

fn draw_page(frame: &mut Frame<'_>, title: &str, page: &str, at: u16) {
    let area = frame.area();
    frame.render_widget(Clear, area);
    let block = Block::bordered().title(title.to_owned());
    frame.render_widget(Paragraph::new(page.to_owned()).block(block).scroll((at, 0)), area);
}
