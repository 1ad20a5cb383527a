//! Wrong passwords: how soon the next may be tried from where they came, and what people are told of them.
//!
//! An address from which no wrong password came lately never waits. After one, whatever comes from there in
//! that name is looked at one at a time, a [`PENALTY`] apart, whoever it is: who guesses over many
//! connections wins nothing, and a player that was given a wrong password holds up nobody of another name.
//! Names are put together in [`QUEUES`] queues, those that somebody has and others alike, so that no queue
//! tells which names there are.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use protocol::time::MonoNs;

/// Between a wrong password and its answer, and between two attempts from where one came from.
pub const PENALTY: Duration = Duration::from_secs(1);
/// Who would wait longer is sent away: a connection that has not said who it is lives for ten seconds.
pub const LONGEST_WAIT: Duration = Duration::from_secs(8);
/// After so long without a wrong password an address is as any other.
pub const FORGOTTEN_AFTER: Duration = Duration::from_secs(60);
/// Of one address. What bounds guesses at all names together: so many a second.
const QUEUES: u32 = 16;
/// Queues that are remembered: 100 KB. With more, the one that was quiet for longest is forgotten.
const RECORDS_MAX: usize = 1024;

/// Where wrong passwords came from.
#[derive(Debug, Default)]
pub struct Guesses {
    records: BTreeMap<(IpAddr, u32), Record>,
}

#[derive(Debug)]
struct Record {
    wrong: u32,
    last: MonoNs,
    /// When the next attempt may be looked at.
    free: MonoNs,
}

/// When an attempt may be looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    At(MonoNs),
    /// Too many wait before it.
    Never,
    Now,
}

/// What became of a wrong password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Noted {
    /// When to answer.
    pub answer: MonoNs,
    /// Wrong passwords from there since it was last forgotten.
    pub wrong: u32,
    /// Whether to log it: the first, second, fourth, eighth and so on.
    pub is_news: bool,
}

/// What counts as one origin: an address, of IPv6 its /64, which one household or machine has for itself.
pub fn origin(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
        v4 => v4,
    }
}

/// The queue of a name: its FNV-1a, whose even spread is all that is asked of it.
fn queue(user: &str) -> u32 {
    let mix = |hash: u32, byte: u8| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193);
    user.bytes().fold(0x811c_9dc5, mix) % QUEUES
}

impl Guesses {
    /// An attempt from `address` in the name of `user` begins; it takes its place among those from there.
    pub fn turn(&mut self, address: IpAddr, user: &str, now: MonoNs) -> Turn {
        self.forget(now);
        let key = (origin(address), queue(user));
        let Some(record) = self.records.get_mut(&key) else { return Turn::Now };
        let at = record.free.max(now);
        if at.saturating_since(now) > LONGEST_WAIT {
            return Turn::Never;
        }
        record.free = at + PENALTY;
        if at == now { Turn::Now } else { Turn::At(at) }
    }

    /// It was wrong.
    pub fn wrong(&mut self, address: IpAddr, user: &str, now: MonoNs) -> Noted {
        self.make_room();
        let answer = now + PENALTY;
        let fresh = Record { wrong: 0, last: now, free: answer };
        let record = self.records.entry((origin(address), queue(user))).or_insert(fresh);
        record.wrong = record.wrong.saturating_add(1);
        record.last = now;
        record.free = record.free.max(answer);
        Noted { answer, wrong: record.wrong, is_news: record.wrong.is_power_of_two() }
    }

    /// For a worker's status; `None` when there was none lately.
    pub fn told(&self, now: MonoNs) -> Option<String> {
        let mut origins: BTreeMap<IpAddr, u32> = BTreeMap::new();
        for ((origin, _), record) in &self.records {
            if now.saturating_since(record.last) <= FORGOTTEN_AFTER {
                let wrong = origins.entry(*origin).or_default();
                *wrong = wrong.saturating_add(record.wrong);
            }
        }
        let (address, wrong) = origins.iter().max_by_key(|(_, wrong)| **wrong)?;
        let more = match origins.len() - 1 {
            0 => String::new(),
            1 => ", and from another address".to_owned(),
            others => format!(", and from {others} other addresses"),
        };
        Some(format!("wrong passwords from {address} ({wrong}){more}"))
    }

    fn forget(&mut self, now: MonoNs) {
        self.records.retain(|_, record| now.saturating_since(record.last) <= FORGOTTEN_AFTER);
    }

    fn make_room(&mut self) {
        if self.records.len() < RECORDS_MAX {
            return;
        }
        let oldest = self.records.iter().min_by_key(|(_, record)| record.last);
        if let Some(oldest) = oldest.map(|(key, _)| *key) {
            self.records.remove(&oldest);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: MonoNs = MonoNs(1_000_000_000_000);

    fn at(ms: u64) -> MonoNs {
        START + Duration::from_millis(ms)
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn who_never_guessed_never_waits() {
        let mut guesses = Guesses::default();
        guesses.wrong(ip("10.0.0.7"), "anna", at(0));
        for ms in 0..20 {
            assert_eq!(guesses.turn(ip("10.0.0.8"), "anna", at(ms)), Turn::Now);
        }
    }

    #[test]
    fn guesses_over_many_connections_are_looked_at_one_a_second_and_no_more_than_a_few_wait() {
        let mut guesses = Guesses::default();
        let noted = guesses.wrong(ip("10.0.0.7"), "anna", at(0));
        assert_eq!(noted.answer, at(1000));
        let turns: Vec<Turn> =
            (0..12).map(|_| guesses.turn(ip("10.0.0.7"), "anna", at(500))).collect();
        let looked_at: Vec<Turn> = (1..9).map(|seconds| Turn::At(at(seconds * 1000))).collect();
        assert_eq!(turns[..8], looked_at[..]);
        assert!(turns[8..].iter().all(|turn| *turn == Turn::Never), "{turns:?}");
    }

    #[test]
    fn a_right_password_after_the_penalty_is_looked_at_at_once_and_a_quiet_minute_forgets() {
        let mut guesses = Guesses::default();
        guesses.wrong(ip("10.0.0.7"), "anna", at(0));
        assert_eq!(guesses.turn(ip("10.0.0.7"), "anna", at(1000)), Turn::Now);
        assert_eq!(guesses.turn(ip("10.0.0.7"), "anna", at(1200)), Turn::At(at(2000)));
        assert_eq!(guesses.turn(ip("10.0.0.7"), "anna", at(60_001)), Turn::Now);
        assert_eq!(guesses.turn(ip("10.0.0.7"), "anna", at(60_002)), Turn::Now);
        assert_eq!(guesses.wrong(ip("10.0.0.7"), "anna", at(60_003)).wrong, 1);
    }

    #[test]
    fn a_player_with_a_wrong_password_holds_up_nobody_of_another_name() {
        let mut guesses = Guesses::default();
        assert_ne!(queue("anna"), queue("guard"), "else the names are to be others");
        guesses.wrong(ip("10.0.0.7"), "anna", at(0));
        assert_eq!(guesses.turn(ip("10.0.0.7"), "guard", at(1)), Turn::Now);
        assert_eq!(guesses.turn(ip("10.0.0.7"), "anna", at(1)), Turn::At(at(1000)));
        guesses.wrong(ip("10.0.0.7"), "guard", at(2));
        assert_eq!(guesses.told(at(3)).unwrap(), "wrong passwords from 10.0.0.7 (2)");
        let names = (0..10_000).map(|number| format!("user{number}"));
        let queues: std::collections::BTreeSet<u32> = names.map(|name| queue(&name)).collect();
        assert_eq!(queues.len(), 16, "every name has a queue, and there are no more");
    }

    #[test]
    fn what_people_are_told_names_the_worst_and_ends_with_the_guessing() {
        let mut guesses = Guesses::default();
        assert_eq!(guesses.told(at(0)), None);
        let news: Vec<bool> =
            (0..9).map(|_| guesses.wrong(ip("10.0.0.7"), "anna", at(0)).is_news).collect();
        assert_eq!(news, [true, true, false, true, false, false, false, true, false]);
        assert_eq!(guesses.told(at(1)).unwrap(), "wrong passwords from 10.0.0.7 (9)");
        guesses.wrong(ip("::ffff:10.0.0.9"), "anna", at(1));
        let told = guesses.told(at(2)).unwrap();
        assert_eq!(told, "wrong passwords from 10.0.0.7 (9), and from another address");
        assert_eq!(guesses.told(at(60_002)), None);
    }

    #[test]
    fn neighbours_in_ipv6_are_one_and_memory_is_bounded() {
        assert_eq!(origin(ip("2001:db8::1")), origin(ip("2001:db8::ffff:1:2:3")));
        assert_ne!(origin(ip("2001:db8::1")), origin(ip("2001:db8:0:1::1")));
        assert_eq!(origin(ip("::ffff:10.0.0.7")), ip("10.0.0.7"));
        let mut guesses = Guesses::default();
        for number in 0..5000_u32 {
            guesses.wrong(IpAddr::V4(number.into()), "anna", at(u64::from(number)));
        }
        assert_eq!(guesses.records.len(), RECORDS_MAX);
        assert_eq!(guesses.turn(IpAddr::V4(4999.into()), "anna", at(5000)), Turn::At(at(5999)));
    }
}
