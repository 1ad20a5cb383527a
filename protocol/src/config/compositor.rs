//! `use: compositor`: pictures of several rings in one.

pub mod layout;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::name::RingName;
use crate::units::{Size, Span, UnitError};

/// What the user writes under `use: compositor`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct CompositorConfig {
    /// Of the picture that comes out; both sides even.
    pub size: Size,
    /// Pictures a second that come out, whatever comes in.
    pub fps: u32,
    /// How long after its capture time a picture is put together: what comes later is late.
    pub wait: Span,
    /// An input without a new picture for so long is told to be gone.
    pub slate_after: Span,
    /// Where the inputs go that have no place of their own.
    pub layout: Layout,
    /// Of the grid; default: as many as make the tiles largest.
    pub columns: Option<u32>,
    /// Where no input is.
    pub background: Rgb,
    pub places: BTreeMap<RingName, Place>,
    pub text: Vec<Caption>,
    pub boxes: Boxes,
}

impl Default for CompositorConfig {
    fn default() -> Self {
        Self {
            size: Size { width: 1280, height: 720 },
            fps: 25,
            wait: Span::from_millis(100),
            slate_after: Span::from_millis(2_000),
            layout: Layout::Grid,
            columns: None,
            background: Rgb(16, 16, 16),
            places: BTreeMap::new(),
            text: Vec::new(),
            boxes: Boxes::default(),
        }
    }
}

impl CompositorConfig {
    /// Rings named anywhere in the section, with the key that names them.
    pub fn named(&self) -> impl Iterator<Item = (&'static str, &RingName)> {
        let places =
            self.places.keys().chain(self.places.values().filter_map(|it| it.over.as_ref()));
        let captions = self.text.iter().filter_map(|caption| caption.over.as_ref());
        places.map(|ring| ("places", ring)).chain(captions.map(|ring| ("text", ring)))
    }

    /// A ring that is over itself, by others or at once.
    pub fn over_itself(&self) -> Option<&RingName> {
        let over = |ring: &RingName| self.places.get(ring).and_then(|place| place.over.as_ref());
        self.places.keys().find(|first| {
            let mut at = over(first);
            // A chain without a circle is no longer than there are places.
            for _ in 0..self.places.len() {
                match at {
                    Some(ring) if ring == *first => return true,
                    Some(ring) => at = over(ring),
                    None => return false,
                }
            }
            false
        })
    }
}

/// Of the inputs without a place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// Equal tiles.
    Grid,
    /// The first one everywhere, the others small in its corners.
    Pip,
}

/// Where one input goes and how.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Place {
    /// The corner or edge that `x` and `y` count from.
    pub at: Anchor,
    pub x: Length,
    pub y: Length,
    pub w: Option<Length>,
    pub h: Option<Length>,
    /// The rectangle of that input, with its pictures fitted alike.
    pub over: Option<RingName>,
    pub fit: Fit,
    pub key: Option<Key>,
    /// What is shown without a picture. Default: `slate`, of what lies over others `nothing`.
    pub missing: Option<Missing>,
    /// What it is called in texts and on its slate. Default: its camera.
    pub name: Option<String>,
}

/// What a place counts from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Anchor {
    #[default]
    TopLeft,
    Top,
    TopRight,
    Left,
    Center,
    Right,
    BottomLeft,
    Bottom,
    BottomRight,
}

/// How a picture of another shape than its place is fitted in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Fit {
    /// All of it, in its own shape; the background shows beside it.
    #[default]
    Contain,
    /// All of the place, in the picture's own shape; the picture's edges are cut.
    Cover,
    /// All of it in all of the place.
    Stretch,
}

/// What is shown of an input that has no picture.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Missing {
    /// Its name, and since when.
    Slate,
    /// Its last picture, for ever.
    Last,
    Nothing,
}

/// A colour that is let through: what lies below shows there.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Key {
    pub color: Rgb,
    /// How far from it a colour may be, 0 to 1, and still goes.
    #[serde(default = "similarity")]
    pub similarity: f64,
    /// How much farther it is still half there, 0 to 1.
    #[serde(default = "blend")]
    pub blend: f64,
}

fn similarity() -> f64 {
    0.1
}

fn blend() -> f64 {
    0.05
}

/// A line of text.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Caption {
    /// `{name}` is the input's name, `%` begins a part of the time as `strftime` has them.
    pub text: String,
    pub at: Anchor,
    pub x: Length,
    pub y: Length,
    /// Inside the place of that input, and of its picture's time. Default: of the whole picture.
    pub over: Option<RingName>,
    /// In every input's place, but for those over others.
    pub each: bool,
    /// Height of a line. Default: 4% of what it is in, and 14 pixels at least.
    pub size: Option<Length>,
    pub color: Option<Rgb>,
    pub zone: Zone,
}

/// Of the times in texts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Zone {
    #[default]
    Local,
    Utc,
}

/// How boxes of record rings are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Boxes {
    pub color: Rgb,
    /// Width of their lines, in pixels.
    pub line: u32,
    /// How long they stay without another word of them.
    pub hold: Span,
    /// Whether what is found is written to them.
    pub labels: bool,
}

impl Default for Boxes {
    fn default() -> Self {
        // Motion tells of itself once a second.
        let hold = Span::from_millis(1_500);
        Self { color: Rgb(255, 208, 0), line: 2, hold, labels: true }
    }
}

/// A length in a picture: pixels, or a share of the side it lies along.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Length {
    Pixels(u32),
    /// Hundredths of a percent: 25% is 2500.
    Share(u32),
}

impl Default for Length {
    fn default() -> Self {
        Self::Pixels(0)
    }
}

impl Length {
    /// In pixels of a side of so many, rounded to the nearest.
    pub fn of(self, side: u32) -> u32 {
        match self {
            Self::Pixels(pixels) => pixels,
            Self::Share(share) => {
                let pixels = (u64::from(side) * u64::from(share) + 5_000) / 10_000;
                u32::try_from(pixels).unwrap_or(u32::MAX)
            }
        }
    }
}

impl FromStr for Length {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let bad = || UnitError {
            seen: text.to_owned(),
            expected: "a length in pixels such as 320, or a share such as 25%",
        };
        let Some(share) = text.strip_suffix('%') else {
            let pixels = text.parse().ok().filter(|pixels| *pixels <= 16_384);
            return pixels.map(Self::Pixels).ok_or_else(bad);
        };
        let (whole, decimals) = share.split_once('.').unwrap_or((share, "0"));
        let digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
        if !digits(whole) || !digits(decimals) || decimals.len() > 2 {
            return Err(bad());
        }
        let hundredths: u32 = format!("{decimals:0<2}").parse().map_err(|_| bad())?;
        let whole: u32 = whole.parse().ok().filter(|whole| *whole <= 100).ok_or_else(bad)?;
        Some(whole * 100 + hundredths)
            .filter(|share| *share <= 10_000)
            .map(Self::Share)
            .ok_or_else(bad)
    }
}

impl TryFrom<String> for Length {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Length> for String {
    fn from(length: Length) -> Self {
        length.to_string()
    }
}

impl fmt::Display for Length {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pixels(pixels) => write!(f, "{pixels}"),
            Self::Share(share) if share % 100 == 0 => write!(f, "{}%", share / 100),
            Self::Share(share) => write!(f, "{}.{:02}%", share / 100, share % 100),
        }
    }
}

/// A colour: red, green and blue, as `#rrggbb` or by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Rgb(pub u8, pub u8, pub u8);

impl Rgb {
    pub const NAMES: [(&'static str, Self); 11] = [
        ("black", Self(0, 0, 0)),
        ("white", Self(255, 255, 255)),
        ("gray", Self(128, 128, 128)),
        ("red", Self(255, 0, 0)),
        // As screens and chroma keys have it, not as web pages.
        ("green", Self(0, 255, 0)),
        ("blue", Self(0, 0, 255)),
        ("yellow", Self(255, 255, 0)),
        ("cyan", Self(0, 255, 255)),
        ("magenta", Self(255, 0, 255)),
        ("orange", Self(255, 165, 0)),
        ("purple", Self(128, 0, 128)),
    ];
}

impl FromStr for Rgb {
    type Err = UnitError;

    fn from_str(text: &str) -> Result<Self, UnitError> {
        let digits = text
            .strip_prefix('#')
            .filter(|digits| digits.len() == 6 && digits.bytes().all(|b| b.is_ascii_hexdigit()));
        if let Some(number) = digits.and_then(|digits| u32::from_str_radix(digits, 16).ok()) {
            let [_, red, green, blue] = number.to_be_bytes();
            return Ok(Self(red, green, blue));
        }
        let named = Self::NAMES.into_iter().find(|(name, _)| *name == text);
        named.map(|(_, colour)| colour).ok_or_else(|| UnitError {
            seen: text.to_owned(),
            expected: "a colour such as '#00ff00' or green",
        })
    }
}

impl TryFrom<String> for Rgb {
    type Error = UnitError;

    fn try_from(text: String) -> Result<Self, UnitError> {
        text.parse()
    }
}

impl From<Rgb> for String {
    fn from(colour: Rgb) -> Self {
        colour.to_string()
    }
}

impl fmt::Display for Rgb {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(red, green, blue) = self;
        write!(f, "#{red:02x}{green:02x}{blue:02x}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_pixels_or_shares_of_their_side() {
        for (text, pixels) in
            [("0", 0), ("320", 320), ("25%", 320), ("100%", 1280), ("12.5%", 160), ("0.05%", 1)]
        {
            let length: Length = text.parse().unwrap();
            assert_eq!(length.of(1280), pixels, "{text}");
            assert_eq!(length.to_string().parse(), Ok(length), "{text}");
        }
        for bad in ["", "%", "-1", "101%", "100.5%", "1.234%", "20000", "5px", ".5%"] {
            assert!(bad.parse::<Length>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn colours_are_six_digits_or_a_name() {
        assert_eq!("#00fF10".parse(), Ok(Rgb(0, 255, 16)));
        assert_eq!("green".parse(), Ok(Rgb(0, 255, 0)));
        assert_eq!(Rgb(1, 2, 3).to_string(), "#010203");
        for bad in ["00ff00", "#0f0", "#00ff0g", "grün", "", "#00ff00ff"] {
            assert!(bad.parse::<Rgb>().is_err(), "{bad:?} was taken");
        }
    }

    #[test]
    fn a_circle_of_overlays_is_found_and_a_chain_is_none() {
        let ring = |name: &str| name.parse::<RingName>().unwrap();
        let config = |pairs: &[(&str, &str)]| CompositorConfig {
            places: pairs
                .iter()
                .map(|(one, other)| {
                    let place = Place { over: Some(ring(other)), ..Place::default() };
                    (ring(one), place)
                })
                .collect(),
            ..CompositorConfig::default()
        };
        let chain = config(&[("a.frames", "b.frames"), ("b.frames", "c.frames")]);
        assert_eq!(chain.over_itself(), None);
        let circle = config(&[("a.frames", "b.frames"), ("b.frames", "a.frames")]);
        assert!(circle.over_itself().is_some());
        assert!(config(&[("a.frames", "a.frames")]).over_itself().is_some());
    }
}
