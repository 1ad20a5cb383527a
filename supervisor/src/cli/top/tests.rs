//! The screen on a terminal of memory, and what keys do.

use protocol::time::{MonoNs, UtcNs};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::KeyEvent;
use shmring::census;

use super::super::draw::draw;
use super::*;
use crate::admin::verbs::Status;
use crate::topology::{self, Graph, Overrides};

fn look(cameras: usize, at_s: u64) -> Look {
    let mut text = "version: 1\nworkers:\n".to_owned();
    for n in 1..=cameras {
        text += &format!("  cam{n}: {{use: ingest, source: 'test:'}}\n");
        text += &format!("  motion{n}: {{run: [x], in: cam{n}.packets}}\n");
    }
    let file = "/srv/yard/framevisor.yml".as_ref();
    let topology = match cameras {
        // A file without workers is none; a project from which all were removed has none.
        0 => topology::parse("version: 1\nworkers: {a: {run: [x]}}", file, &Overrides::default()),
        _ => topology::parse(&text, file, &Overrides::default()),
    };
    let mut graph = Graph::of(&topology.unwrap_or_else(|report| panic!("{report}")));
    if cameras == 0 {
        graph.workers.clear();
    }
    let worker = |node: &crate::topology::GraphNode| WorkerStatus {
        name: node.name.clone(),
        kind: node.kind.clone(),
        pid: Some(77),
        state: WorkerState::Running,
        why: String::new(),
        restarts: 3,
        uptime_s: 61.0,
        last_exit: "SIGKILL".to_owned(),
        restart_ms: None,
        health: Default::default(),
    };
    let ring = |edge: &crate::topology::GraphEdge| {
        let mut ring = census::absent(&edge.name);
        (ring.live, ring.epoch, ring.head, ring.age_ms) = (true, 1, at_s * 25, Some(0));
        ring
    };
    Look {
        at: MonoNs(at_s * 1_000_000_000),
        utc: UtcNs(0),
        status: Status {
            file: std::path::PathBuf::new(),
            project: "yard".to_owned(),
            supervisor: 4,
            guard: 3,
            uptime_s: 9.0,
            stopping: false,
            descriptors: 20,
            not_flowing: Vec::new(),
        },
        workers: graph.workers.iter().map(worker).collect(),
        rings: graph.rings.iter().map(ring).collect(),
        graph,
        usage: BTreeMap::new(),
    }
}

fn view(cameras: usize) -> View {
    let mut view = View::default();
    for at_s in 1..4 {
        view.learn(News::Look(Box::new(look(cameras, at_s))));
    }
    view
}

fn screen(view: &mut View, width: u16, height: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    terminal.draw(|frame| draw(frame, view)).unwrap();
    terminal.backend().to_string()
}

fn press(view: &mut View, codes: &[KeyCode]) -> Step {
    let mut step = Step::Stay;
    for code in codes {
        step = view.press(KeyEvent::from(*code));
    }
    step
}

#[test]
fn each_worker_stands_below_its_camera_with_its_rate() {
    let shown = screen(&mut view(2), 140, 40);
    let lines: Vec<&str> = shown.lines().map(|line| line.trim_matches('"').trim_end()).collect();
    assert!(lines[0].starts_with(" yard  4 workers, 4 well, 0 stopped  2 rings"), "{shown}");
    assert_eq!(lines[2], "cam1", "{shown}");
    assert!(lines[3].starts_with("  cam1") && lines[3].contains("25.0/s"), "{shown}");
    assert!(lines[4].starts_with("  motion1") && lines[4].ends_with("SIGKILL"), "{shown}");
    assert_eq!(lines[5], "cam2", "{shown}");
    assert!(shown.contains("cam1: rate 25.0/s") && shown.contains("q quit"), "{shown}");
}

#[test]
fn no_worker_and_hundreds_fit_on_any_screen() {
    for cameras in [0, 1, 100] {
        let mut view = view(cameras);
        for (width, height) in [(1, 1), (3, 2), (20, 5), (80, 24), (300, 100)] {
            screen(&mut view, width, height);
            press(&mut view, &[KeyCode::End]);
            let shown = screen(&mut view, width, height);
            if width >= 80 && cameras > 0 {
                assert!(shown.contains(&format!("motion{cameras}")), "{shown}");
            }
            press(&mut view, &[KeyCode::Char('?')]);
            screen(&mut view, width, height);
            press(&mut view, &[KeyCode::Esc, KeyCode::Char('g'), KeyCode::Home]);
        }
        assert_eq!(screen(&mut view, 80, 24).contains("no workers"), cameras == 0);
    }
}

#[test]
fn keys_are_for_the_chosen_worker() {
    let mut view = view(2);
    let motion1: WorkerName = "motion1".parse().unwrap();
    let down = KeyCode::Char('j');
    assert_eq!(
        press(&mut view, &[down, KeyCode::Char('r')]),
        Step::Order(Order::Restart(motion1.clone()))
    );
    assert_eq!(press(&mut view, &[KeyCode::Char('s')]), Step::Order(Order::Stop(motion1.clone())));
    let stopped = view.look.as_mut().unwrap();
    stopped.workers[1].state = WorkerState::Stopped;
    assert_eq!(press(&mut view, &[KeyCode::Char('s')]), Step::Order(Order::Start(motion1.clone())));
    assert_eq!(press(&mut view, &[KeyCode::Char('w')]), Step::Order(Order::Why(motion1.clone())));
    assert_eq!(view.watched(), Some(motion1));
    assert_eq!(press(&mut view, &[KeyCode::Char('q')]), Step::Quit);
}

#[test]
fn a_filter_hides_the_others_and_its_letters_are_no_keys() {
    let mut view = view(3);
    let typed = ['/', 'm', 'o', 't', 'i', 'o', 'n', '2'].map(KeyCode::Char);
    assert_eq!(press(&mut view, &typed), Step::Stay);
    assert_eq!(press(&mut view, &[KeyCode::Enter]), Step::Stay);
    let shown = screen(&mut view, 140, 30);
    assert!(shown.contains("motion2") && !shown.contains("motion1"), "{shown}");
    press(&mut view, &[KeyCode::Esc]);
    assert!(screen(&mut view, 140, 30).contains("motion1"));
}

#[test]
fn who_is_gone_is_not_chosen_any_more_and_trouble_is_shown_until_it_ends() {
    let mut view = view(3);
    press(&mut view, &[KeyCode::End]);
    view.learn(News::Look(Box::new(look(1, 9))));
    assert_eq!(view.worker().unwrap().name.as_str(), "cam1");
    view.learn(News::Trouble("not running".to_owned()));
    assert!(screen(&mut view, 80, 24).contains("not running; trying again"));
    view.learn(News::Look(Box::new(look(1, 10))));
    assert!(!screen(&mut view, 80, 24).contains("not running"));
}

#[test]
fn losses_are_counted_from_look_to_look() {
    let mut series = Series::default();
    for drops in [100, 100, 107, 107] {
        series.add(&Figures { drops, lag: 2, ..Figures::default() });
    }
    assert_eq!(series.drops, [0, 0, 7, 0]);
    assert_eq!(series.lag, [2; 4]);
}
