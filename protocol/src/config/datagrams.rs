//! Ports and multicast addresses as people write them: `20000-20999`, `239.255.42.0/24`, `off`.

use std::fmt;
use std::net::Ipv4Addr;
use std::str::FromStr;

use super::as_text::as_text;
use crate::units::UnitError;

/// What stands for "none".
const OFF: &str = "off";

/// Ports for datagrams. Invariant: `first` is even, `last` is odd and above it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PortRange {
    first: u16,
    last: u16,
}

impl PortRange {
    /// The even ports at which a pair begins, in order: RTP has the even one, RTCP the next (RFC 3550 section 11).
    pub fn pairs(self) -> impl ExactSizeIterator<Item = u16> + Clone {
        (0..(self.last - self.first) / 2 + 1).map(move |pair| self.first + 2 * pair)
    }
}

/// Ports for datagrams, or none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UdpPorts(pub Option<PortRange>);

impl Default for UdpPorts {
    /// Below the ports that kernels hand out by themselves (32768 on).
    fn default() -> Self {
        Self(Some(PortRange { first: 20_000, last: 20_999 }))
    }
}

impl FromStr for UdpPorts {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == OFF {
            return Ok(Self(None));
        }
        let range = || {
            let (first, last) = text.split_once('-')?;
            let (first, last) = (port(first)?, port(last)?);
            let whole = first % 2 == 0 && last % 2 == 1 && first < last;
            (first >= 1024 && whole).then_some(PortRange { first, last })
        };
        range().map(|range| Self(Some(range))).ok_or_else(|| UnitError {
            seen: text.to_owned(),
            expected: "off, or ports from an even one to an odd one, 1024 to 65535, for example 20000-20999",
        })
    }
}

impl fmt::Display for UdpPorts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str(OFF),
            Some(PortRange { first, last }) => write!(f, "{first}-{last}"),
        }
    }
}

/// IPv4 multicast addresses (RFC 5771), or none.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupPool(Option<(Ipv4Addr, u8)>);

/// The largest pool: 65536 groups.
const PREFIX_MIN: u8 = 16;

impl GroupPool {
    /// How many groups there are.
    pub fn count(self) -> u32 {
        self.0.map_or(0, |(_, prefix)| 1 << (32 - prefix))
    }

    /// The group of this number.
    pub fn nth(self, number: u32) -> Option<Ipv4Addr> {
        let (base, _) = self.0?;
        (number < self.count()).then(|| Ipv4Addr::from_bits(base.to_bits() + number))
    }
}

impl FromStr for GroupPool {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        if text == OFF {
            return Ok(Self(None));
        }
        let pool = || {
            let (base, prefix) = text.split_once('/')?;
            let (base, prefix) = (base.parse::<Ipv4Addr>().ok()?, prefix.parse::<u8>().ok()?);
            let known = (PREFIX_MIN..=32).contains(&prefix);
            let free = base.is_multicast() && base.octets()[..3] != [224, 0, 0];
            let begins = known && base.to_bits().trailing_zeros() >= u32::from(32 - prefix);
            (free && begins).then_some((base, prefix))
        };
        pool().map(|pool| Self(Some(pool))).ok_or_else(|| UnitError {
            seen: text.to_owned(),
            expected: "off, or multicast addresses above 224.0.0.255 with a prefix of 16 to 32 bits, for example 239.255.42.0/24",
        })
    }
}

impl fmt::Display for GroupPool {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            None => f.write_str(OFF),
            Some((base, prefix)) => write!(f, "{base}/{prefix}"),
        }
    }
}

/// Digits alone: no sign.
fn port(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

as_text!(GroupPool);
as_text!(UdpPorts);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_come_in_pairs_from_the_even_one_on() {
        let UdpPorts(Some(range)) = "20000-20005".parse().unwrap() else { panic!("off") };
        assert_eq!(range.pairs().collect::<Vec<_>>(), [20_000, 20_002, 20_004]);
        let UdpPorts(Some(most)) = "1024-65535".parse().unwrap() else { panic!("off") };
        assert_eq!(most.pairs().last(), Some(65_534));
        assert_eq!("off".parse(), Ok(UdpPorts(None)));
        assert_eq!(UdpPorts::default().to_string(), "20000-20999");
    }

    #[test]
    fn ports_that_make_no_pairs_are_refused() {
        for text in
            ["", "20000", "20001-20999", "20000-20998", "20999-20000", "80-99", "2-x", "+1024-1025"]
        {
            assert!(text.parse::<UdpPorts>().is_err(), "{text}");
        }
    }

    #[test]
    fn groups_are_counted_from_the_beginning_of_the_pool() {
        let pool: GroupPool = "239.255.42.0/30".parse().unwrap();
        let groups: Vec<_> = (0..9).map_while(|number| pool.nth(number)).collect();
        assert_eq!(groups.len(), 4);
        assert_eq!(groups[3], Ipv4Addr::new(239, 255, 42, 3));
        assert_eq!(pool.to_string(), "239.255.42.0/30");
        assert_eq!(GroupPool::default().nth(0), None);
        assert_eq!("239.1.0.0/16".parse::<GroupPool>().unwrap().count(), 65_536);
    }

    #[test]
    fn addresses_that_are_no_pool_are_refused() {
        for text in [
            "",
            "239.255.42.1/24",
            "10.0.0.0/24",
            "224.0.0.0/24",
            "239.0.0.0/8",
            "239.1.1.1",
            "239.1.1.1/33",
        ] {
            assert!(text.parse::<GroupPool>().is_err(), "{text}");
        }
    }
}
