//! What nothing that wakes another process can go below.

use super::{Ends, Receiver, Sender};
use crate::Outcome;
use crate::machine::Touch;
use crate::stage::{Bell, bell};

/// FUTEX_WAKE and FUTEX_WAIT on one word.
pub(super) fn futex() -> Outcome<Ends<'static>> {
    let word = bell()?;
    Ok(Ends {
        receiver: Box::new(move |_| Ok(Box::new(Sleeper { word, heard: word.rung() }))),
        sender: Box::new(move || Ok(Box::new(Ringer(word)))),
    })
}

/// One word that the other side looks at all the time.
pub(super) fn spin() -> Outcome<Ends<'static>> {
    let word = bell()?;
    Ok(Ends {
        receiver: Box::new(move |_| Ok(Box::new(Spinner { word, heard: word.rung() }))),
        sender: Box::new(move || Ok(Box::new(Quiet(word)))),
    })
}

struct Sleeper {
    word: &'static Bell,
    heard: u32,
}

impl Receiver for Sleeper {
    fn receive(&mut self, _: Touch) -> Outcome<bool> {
        let rung = self.word.wait(self.heard);
        self.heard = self.heard.wrapping_add(u32::from(rung));
        Ok(rung)
    }
}

struct Ringer(&'static Bell);

impl Sender for Ringer {
    fn prepare(&mut self, _: Option<&[u8]>) -> Outcome<()> {
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        self.0.ring();
        Ok(())
    }
}

struct Spinner {
    word: &'static Bell,
    heard: u32,
}

impl Receiver for Spinner {
    fn receive(&mut self, _: Touch) -> Outcome<bool> {
        let rung = self.word.spin(self.heard);
        self.heard = self.heard.wrapping_add(u32::from(rung));
        Ok(rung)
    }
}

struct Quiet(&'static Bell);

impl Sender for Quiet {
    fn prepare(&mut self, _: Option<&[u8]>) -> Outcome<()> {
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        self.0.ring_quietly();
        Ok(())
    }
}
