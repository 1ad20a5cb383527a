//! A writer killed at each system call of its start, and at instructions all over a publish: whatever it
//! leaves, attached readers go on, the next writer works, and no file stays.
//!
//! The writer is this program again, traced (ptrace(2)): it stops itself where a stage begins, and from
//! there on it is let go step by step.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]
#![expect(clippy::print_stdout, reason = "how many crashes there were is worth reading")]

mod scene;
mod traced;

use std::process::ExitCode;

use scene::Kind;
use traced::{End, Step};

/// Instructions of a publish at which it is killed, spread evenly.
const INSTRUCTIONS: u64 = 60;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [child, kind, project] = arguments.as_slice()
        && child == traced::CHILD
    {
        scene::play(Kind::parse(kind), project);
        return ExitCode::SUCCESS;
    }
    // Other flags and filters are those of cargo's own test harness.
    let is_asked_for =
        |argument: &String| argument.starts_with('-') || "crash".contains(argument.as_str());
    if arguments.iter().any(|argument| argument == "--list" || !is_asked_for(argument)) {
        return ExitCode::SUCCESS;
    }
    for kind in [Kind::Packets, Kind::Frames] {
        let calls = at_every_system_call(kind);
        let instructions = all_over_a_publish(kind);
        println!(
            "{kind:?}: killed at {calls} ends of system calls, at {instructions} instructions"
        );
    }
    // Its publish is a copy of some hundred KiB between system calls.
    let calls = at_every_system_call(Kind::Large);
    println!("{:?}: killed at {calls} ends of system calls", Kind::Large);
    ExitCode::SUCCESS
}

fn at_every_system_call(kind: Kind) -> u64 {
    let mut crashes = 0;
    for steps in 1.. {
        let scene = scene::Scene::new(kind);
        let end = traced::kill_after(&scene, scene::BEFORE_START, Step::SystemCall, steps);
        scene.goes_on(&format!("{kind:?} killed {steps} system call stops after its start"));
        if end == End::ByItself {
            break;
        }
        crashes += 1;
    }
    crashes
}

fn all_over_a_publish(kind: Kind) -> u64 {
    let scene = scene::Scene::new(kind);
    let length = traced::length(&scene, scene::BEFORE_PUBLISH);
    scene.goes_on("a publish counted");
    for number in 0..INSTRUCTIONS {
        let steps = 1 + length * number / INSTRUCTIONS;
        let scene = scene::Scene::new(kind);
        traced::kill_after(&scene, scene::BEFORE_PUBLISH, Step::Instruction, steps);
        scene.goes_on(&format!("{kind:?} killed {steps} instructions into a publish"));
    }
    INSTRUCTIONS
}
