//! `zones:` and `ignore:` of analyzers: parts of a picture, by their corners. Pure.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::units::UnitError;

/// Corners of a zone; more are a drawing, no zone.
const CORNERS_MAX: usize = 64;
/// The whole side of a picture, in hundredths of a percent.
const WHOLE: u16 = 10_000;
const EXPECTED: &str = "corners in shares of width and height, such as 10% 20%, 60% 90% (two are a rectangle's, more go around a polygon)";

/// A part of a picture, whatever its size: `0% 50%, 100% 50%, 100% 100%, 0% 100%`. Two corners are those of
/// a rectangle that lie opposite each other; more go around a polygon.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Zone {
    /// (across, down) in hundredths of a percent; 2 to [`CORNERS_MAX`].
    corners: Vec<(u16, u16)>,
}

impl Zone {
    /// Whether a place lies in it: shares of the picture's width and height, 0 to 1.
    pub fn contains(&self, x: f64, y: f64) -> bool {
        let (x, y) = (x * f64::from(WHOLE), y * f64::from(WHOLE));
        if let [one, other] = self.corners[..] {
            let inside =
                |at: f64, a: u16, b: u16| (f64::from(a.min(b))..=f64::from(a.max(b))).contains(&at);
            return inside(x, one.0, other.0) && inside(y, one.1, other.1);
        }
        // What ends where the picture does stands in it.
        let edge = f64::from(WHOLE) - 0.5;
        self.is_around(x.min(edge), y.min(edge))
    }

    /// A ray to the right crosses the edges of what is around it an odd number of times.
    fn is_around(&self, x: f64, y: f64) -> bool {
        let next = self.corners.iter().cycle().skip(1);
        let crossed = self.corners.iter().zip(next).filter(|(from, to)| {
            let [fx, fy, tx, ty] = [from.0, from.1, to.0, to.1].map(f64::from);
            // One end counts, the other does not: a corner is crossed once.
            (fy > y) != (ty > y) && x < fx + (y - fy) / (ty - fy) * (tx - fx)
        });
        crossed.count() % 2 == 1
    }
}

impl FromStr for Zone {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let corners: Option<Vec<(u16, u16)>> = text.split(',').map(corner).collect();
        let is_sane = |corners: &Vec<(u16, u16)>| match corners[..] {
            // Without a width or a height it holds nothing.
            [one, other] => one.0 != other.0 && one.1 != other.1,
            _ => (3..=CORNERS_MAX).contains(&corners.len()),
        };
        let bad = || UnitError { seen: text.to_owned(), expected: EXPECTED };
        corners.filter(is_sane).map(|corners| Self { corners }).ok_or_else(bad)
    }
}

fn corner(text: &str) -> Option<(u16, u16)> {
    let mut shares = text.split_ascii_whitespace();
    let corner = (share(shares.next()?)?, share(shares.next()?)?);
    shares.next().is_none().then_some(corner)
}

/// `12.5%` in hundredths of a percent.
fn share(text: &str) -> Option<u16> {
    let number = text.strip_suffix('%')?;
    let (whole, decimals) = number.split_once('.').unwrap_or((number, "0"));
    let digits = |part: &str, most: usize| {
        (1..=most).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit())
    };
    if !digits(whole, 3) || !digits(decimals, 2) {
        return None;
    }
    let tenfold = if decimals.len() == 1 { 10 } else { 1 };
    let hundredths = whole.parse::<u32>().ok()? * 100 + decimals.parse::<u32>().ok()? * tenfold;
    u16::try_from(hundredths).ok().filter(|share| *share <= WHOLE)
}

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, (x, y)) in self.corners.iter().enumerate() {
            let comma = if at == 0 { "" } else { ", " };
            write!(f, "{comma}{} {}", Percent(*x), Percent(*y))?;
        }
        Ok(())
    }
}

/// Hundredths of a percent as people write them.
struct Percent(u16);

impl fmt::Display for Percent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (whole, hundredths) = (self.0 / 100, self.0 % 100);
        match hundredths {
            0 => write!(f, "{whole}%"),
            tens if tens % 10 == 0 => write!(f, "{whole}.{}%", tens / 10),
            hundredths => write!(f, "{whole}.{hundredths:02}%"),
        }
    }
}

impl TryFrom<String> for Zone {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Zone> for String {
    fn from(zone: Zone) -> Self {
        zone.to_string()
    }
}

/// Zones by their names. `yard.drive` is the zone `drive` of camera `yard` alone, `drive` that of every camera.
pub type Zones = BTreeMap<String, Zone>;

/// Why a name of a zone is none; `None` for one that is.
pub fn name_problem(name: &str) -> Option<String> {
    let is_part = |part: &str| {
        (1..=41).contains(&part.len())
            && part
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"_-".contains(&b))
    };
    let is_name = match name.split_once('.') {
        Some((camera, zone)) => is_part(camera) && is_part(zone),
        None => is_part(name),
    };
    let expected = "expected letters a-z, digits, - and _, or CAMERA.NAME";
    (!is_name).then(|| format!("zone '{name}': {expected}"))
}

/// Where an analyzer looks in the pictures of one camera: with zones, only there; never where it is to ignore.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    zones: Vec<(String, Zone)>,
    ignored: Vec<Zone>,
}

impl Field {
    pub fn of(zones: &Zones, ignore: &Zones, camera: &str) -> Self {
        let ignored = of_camera(ignore, camera).map(|(_, zone)| zone.clone());
        let zones = of_camera(zones, camera).map(|(name, zone)| (name.to_owned(), zone.clone()));
        Self { zones: zones.collect(), ignored: ignored.collect() }
    }

    /// Names of the zones, in their order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.zones.iter().map(|(name, _)| name.as_str())
    }

    /// Which of the zones a place lies in, by their numbers in [`Self::names`]; `None` where nothing counts.
    pub fn at(&self, x: f32, y: f32) -> Option<Vec<usize>> {
        let (x, y) = (f64::from(x), f64::from(y));
        if self.ignored.iter().any(|zone| zone.contains(x, y)) {
            return None;
        }
        let inside = self.zones.iter().enumerate().filter(|(_, (_, zone))| zone.contains(x, y));
        let inside: Vec<usize> = inside.map(|(at, _)| at).collect();
        (self.zones.is_empty() || !inside.is_empty()).then_some(inside)
    }
}

/// The zones of one camera, by their names there.
pub fn of_camera<'a>(
    zones: &'a Zones,
    camera: &'a str,
) -> impl Iterator<Item = (&'a str, &'a Zone)> {
    zones.iter().filter_map(move |(name, zone)| {
        let name = match name.split_once('.') {
            Some((only, name)) if only == camera => name,
            Some(_) => return None,
            None => name.as_str(),
        };
        Some((name, zone))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn zone(text: &str) -> Zone {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn two_corners_are_a_rectangle_whichever_they_are() {
        for text in ["10% 20%, 60% 90%", "60% 20%, 10% 90%", "10% 90%, 60% 20%"] {
            let zone = zone(text);
            assert!(zone.contains(0.1, 0.2) && zone.contains(0.6, 0.9), "{text}");
            assert!(zone.contains(0.3, 0.5) && !zone.contains(0.09, 0.5), "{text}");
            assert!(!zone.contains(0.3, 0.91), "{text}");
        }
    }

    #[test]
    fn more_corners_go_around_a_polygon_with_bays() {
        // A U: its bay is outside.
        let zone = zone("0% 0%, 20% 0%, 20% 80%, 80% 80%, 80% 0%, 100% 0%, 100% 100%, 0% 100%");
        assert!(zone.contains(0.1, 0.1) && zone.contains(0.9, 0.1) && zone.contains(0.5, 0.9));
        assert!(!zone.contains(0.5, 0.4));
        // Feet at the lower edge stand in what reaches down to it.
        assert!(zone.contains(0.5, 1.0) && zone.contains(1.0, 1.0));
    }

    #[test]
    fn what_is_written_is_what_is_read() {
        for text in ["0% 50%, 100% 50%, 50% 100%", "10.5% 20.25%, 60% 90.05%"] {
            assert_eq!(zone(text).to_string(), text);
        }
        for bad in
            ["", "10% 20%", "10% 20%, 10% 90%", "10 20, 60 90", "101% 0%, 0% 1%", "1% 2% 3%, 4% 5%"]
        {
            assert!(bad.parse::<Zone>().is_err(), "{bad}");
        }
    }

    #[test]
    fn it_survives_both_forms() {
        let zones = Zones::from([("drive".to_owned(), zone("10% 20%, 60% 90%"))]);
        let text = serde_json::to_string(&zones).unwrap();
        assert_eq!(serde_json::from_str::<Zones>(&text).unwrap(), zones, "{text}");
        let frame = crate::codec::encode(&zones).unwrap();
        assert_eq!(crate::codec::decode::<Zones>(&frame).unwrap(), zones);
    }

    #[test]
    fn a_zone_is_of_every_camera_or_of_one_alone() {
        let zones = Zones::from([
            ("door".to_owned(), zone("0% 0%, 50% 50%")),
            ("yard.drive".to_owned(), zone("50% 50%, 100% 100%")),
        ]);
        let yard = Field::of(&zones, &Zones::new(), "yard");
        assert_eq!(yard.names().collect::<Vec<_>>(), ["door", "drive"]);
        assert_eq!((yard.at(0.1, 0.1), yard.at(0.9, 0.9)), (Some(vec![0]), Some(vec![1])));
        assert_eq!(yard.at(0.9, 0.1), None);
        let hall = Field::of(&zones, &Zones::new(), "hall");
        assert_eq!((hall.at(0.1, 0.1), hall.at(0.9, 0.9)), (Some(vec![0]), None));
    }

    #[test]
    fn without_zones_all_counts_but_what_is_ignored() {
        let ignore = Zones::from([("tree".to_owned(), zone("0% 0%, 50% 50%"))]);
        let field = Field::of(&Zones::new(), &ignore, "yard");
        assert_eq!((field.at(0.1, 0.1), field.at(0.9, 0.9)), (None, Some(Vec::new())));
        assert_eq!(Field::default().at(0.1, 0.1), Some(Vec::new()));
    }

    #[test]
    fn a_name_that_is_none_is_said_with_what_it_could_be() {
        assert_eq!((name_problem("drive"), name_problem("yard.drive")), (None, None));
        for bad in ["", "Drive", "a.b.c", "yard."] {
            assert!(name_problem(bad).is_some_and(|why| why.contains("CAMERA.NAME")), "{bad}");
        }
    }
}
