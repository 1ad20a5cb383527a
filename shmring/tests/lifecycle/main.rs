//! The life of a ring's names, every order of steps and every crash: two writers, a sweeper and a reader
//! take their steps in all interleavings, and each may die between any two of them.
//!
//! In each state that can be reached the invariants of the ring must hold (shmring's I5 and I9), and from
//! each one the ring must recover: a new writer alone comes to publish, a reader alone finds it, and a
//! sweeper alone leaves nothing. The mutants prove that the model would notice.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod actors;
mod world;

use std::collections::{HashMap, VecDeque};

use actors::{At, Reader, Sweeper, Writer};
use world::{Anchor, Pid, World};

/// One thing done wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mutant {
    /// The lock is taken for its name's although that leads elsewhere by now.
    LockNotLookedAtAgain,
    /// The index gets its name before its lock.
    IndexLinkedUnlocked,
    /// A lock that somebody holds does not keep the sweeper from unlinking.
    SweptWithoutLock,
    /// The anchor leads to an epoch whose index has no name yet.
    EpochAnnouncedBeforeItsLink,
}

/// All that is: the files, and where everybody stands.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct State {
    world: World,
    actors: [At; ACTORS],
    /// How often each may still come back after its death.
    lives: [u8; ACTORS],
}

const ACTORS: usize = 4;
const FIRST: [At; ACTORS] = [
    At::Writer(Writer::OpenLock),
    At::Writer(Writer::OpenLock),
    At::Sweeper(Sweeper::LookForNames),
    At::Reader(Reader::OpenAnchor),
];
const LIVES: [u8; ACTORS] = [1, 0, 1, 0];
/// Who tries whether a state recovers.
const RESCUER: Pid = 100;
/// More steps than any of them takes alone.
const ALONE: usize = 64;

impl State {
    fn first() -> Self {
        Self { world: World::default(), actors: FIRST, lives: LIVES }
    }

    /// Every state one step or one death away.
    fn successors(&self, mutant: Option<Mutant>) -> Vec<Self> {
        let alive = (0..ACTORS).filter(|actor| self.actors[*actor] != At::Dead);
        alive.flat_map(|actor| [self.stepped(actor, mutant), self.killed(actor)]).collect()
    }

    fn stepped(&self, actor: usize, mutant: Option<Mutant>) -> Self {
        let mut next = self.clone();
        next.actors[actor] = next.actors[actor].step(pid(actor), &mut next.world, mutant);
        next
    }

    fn killed(&self, actor: usize) -> Self {
        let mut next = self.clone();
        next.world.release(pid(actor));
        next.actors[actor] = match self.lives[actor] {
            0 => At::Dead,
            _ => FIRST[actor],
        };
        next.lives[actor] = self.lives[actor].saturating_sub(1);
        next
    }

    /// What must be true at every instant.
    fn check(&self) -> Result<(), &'static str> {
        if self.actors.iter().filter(|actor| actor.owns()).count() > 1 {
            return Err("two processes act as the ring's owner");
        }
        let leads_nowhere =
            |anchor: &Anchor| anchor.epoch != 0 && self.world.index(anchor.epoch).is_none();
        if self.world.anchor_name.is_some_and(|anchor| leads_nowhere(&self.world.anchors[anchor])) {
            return Err("the anchor leads to no index");
        }
        for (actor, at) in self.actors.iter().enumerate() {
            if let At::Writer(Writer::Publish(anchor, index)) = at {
                let is_named = self.world.anchor_name == Some(*anchor)
                    && self.world.anchors[*anchor].epoch == index.epoch
                    && self.world.index(index.epoch).is_some();
                if !is_named {
                    return Err("a writer publishes where no reader finds it");
                }
                if self.world.indexes[usize::from(index.epoch) - 1].holder != Some(pid(actor)) {
                    return Err("a living writer looks dead");
                }
            }
        }
        let held_once = self.world.indexes.iter().all(|index| {
            !index.linked || index.holder.is_some() || !self.is_being_built(index.epoch)
        });
        if held_once {
            Ok(())
        } else {
            Err("a reader may take the lock that proves its writer's life")
        }
    }

    fn is_being_built(&self, epoch: u8) -> bool {
        self.actors.iter().any(|at| match at {
            At::Writer(
                Writer::LockIndex(_, index)
                | Writer::LinkIndex(_, index)
                | Writer::StorePrevious(_, index)
                | Writer::StoreEpoch(_, index)
                | Writer::ClearOlder(_, index)
                | Writer::Publish(_, index),
            ) => index.epoch == epoch,
            _ => false,
        })
    }

    /// Whether all is well again once everybody has died here and others come.
    fn recovers(&self, mutant: Option<Mutant>) -> Result<(), &'static str> {
        let mut world = self.world.clone();
        (0..ACTORS).for_each(|actor| world.release(pid(actor)));
        let writer = alone(At::Writer(Writer::OpenLock), &mut world, mutant);
        let At::Writer(Writer::Publish(_, own)) = writer else {
            return Err("a new writer never comes to publish");
        };
        if world.linked_epochs().count() > 2 || world.drafts > 0 {
            return Err("what the dead left stays");
        }
        match alone(At::Reader(Reader::OpenAnchor), &mut world, mutant) {
            At::Reader(Reader::Attached(index)) if index.epoch == own.epoch => {}
            _ => return Err("a reader does not find the new writer"),
        }
        world.release(RESCUER);
        alone(At::Sweeper(Sweeper::LookForNames), &mut world, mutant);
        if world.is_empty() { Ok(()) } else { Err("a name stays when all are gone") }
    }
}

fn pid(actor: usize) -> Pid {
    Pid::try_from(actor).unwrap()
}

/// Where somebody comes to when nobody else does anything.
fn alone(mut at: At, world: &mut World, mutant: Option<Mutant>) -> At {
    for _ in 0..ALONE {
        at = at.step(RESCUER, world, mutant);
    }
    at
}

/// Visits every state there is. The first one that is wrong, with the way that led to it.
fn explore(mutant: Option<Mutant>) -> Result<usize, String> {
    let mut came_from: HashMap<State, Option<State>> = HashMap::from([(State::first(), None)]);
    let mut open = VecDeque::from([State::first()]);
    while let Some(state) = open.pop_front() {
        if let Err(what) = state.check().and_then(|()| state.recovers(mutant)) {
            return Err(format!("{what}, after {:#?}", way_to(&came_from, &state)));
        }
        for next in state.successors(mutant) {
            if !came_from.contains_key(&next) {
                came_from.insert(next.clone(), Some(state.clone()));
                open.push_back(next);
            }
        }
    }
    Ok(came_from.len())
}

/// Where everybody stood, from the beginning on.
fn way_to(came_from: &HashMap<State, Option<State>>, state: &State) -> Vec<[At; ACTORS]> {
    let before = |state: &&State| came_from.get(*state)?.as_ref();
    let mut way: Vec<_> =
        std::iter::successors(Some(state), before).map(|state| state.actors).collect();
    way.reverse();
    way
}

#[test]
fn whoever_dies_whenever_the_ring_has_one_owner_and_recovers() {
    let states = explore(None).unwrap_or_else(|wrong| panic!("{wrong}"));
    println!("{states} states");
    assert!(states > 1_000, "{states} states are no exploration");
}

#[test]
fn the_model_notices_each_mistake() {
    for mutant in [
        Mutant::LockNotLookedAtAgain,
        Mutant::IndexLinkedUnlocked,
        Mutant::SweptWithoutLock,
        Mutant::EpochAnnouncedBeforeItsLink,
    ] {
        assert!(explore(Some(mutant)).is_err(), "{mutant:?} goes unnoticed");
    }
}
