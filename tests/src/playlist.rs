//! HLS playlists as a player reads them (RFC 8216, and RFC 8216bis for parts). Pure; [`rules`] says what is wrong
//! with them.

pub mod rules;

/// A media playlist of a live stream.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Media {
    pub target_s: f64,
    pub part_target_s: Option<f64>,
    pub part_hold_back_s: Option<f64>,
    pub can_block: bool,
    /// Number of the first segment.
    pub sequence: u64,
    pub discontinuity: u64,
    pub segments: Vec<Segment>,
    /// Parts of the segment that is under way.
    pub open: Vec<Part>,
    /// The stream is cut before it.
    pub open_is_cut: bool,
    /// What comes next, to be asked for before it is there.
    pub hint: Option<String>,
    pub has_ended: bool,
}

/// A complete segment.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Segment {
    pub number: u64,
    pub uri: String,
    pub lasts_s: f64,
    /// The stream is cut before it.
    pub is_cut: bool,
    /// What stands in front of its bytes; empty without one.
    pub map: String,
    /// `EXT-X-PROGRAM-DATE-TIME` as it is written.
    pub date: Option<String>,
    pub parts: Vec<Part>,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    pub uri: String,
    pub lasts_s: f64,
    pub is_independent: bool,
}

/// A variant of a multivariant playlist.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Variant {
    pub uri: String,
    pub bits_a_second: u64,
    pub codecs: String,
    pub size: Option<(u32, u32)>,
}

impl Media {
    /// Reads a list, or says which line makes no sense.
    pub fn parse(text: &str) -> Result<Self, String> {
        if !text.starts_with("#EXTM3U\n") {
            return Err(format!("does not begin with #EXTM3U: {text}"));
        }
        let (mut list, mut next, mut map) = (Self::default(), Segment::default(), String::new());
        for line in text.lines().filter(|line| !line.is_empty()) {
            let understood = match line.strip_prefix('#') {
                Some(_) => list.tag(line, &mut next, &mut map),
                None => {
                    let number = list.sequence + list.segments.len() as u64;
                    let (uri, map) = (line.to_owned(), map.clone());
                    list.segments.push(Segment { number, uri, map, ..std::mem::take(&mut next) });
                    Some(())
                }
            };
            understood.ok_or_else(|| format!("a line that makes no sense: {line}"))?;
        }
        (list.open, list.open_is_cut) = (next.parts, next.is_cut);
        Ok(list)
    }

    /// `None` when a tag that is known has a value that is not.
    fn tag(&mut self, line: &str, next: &mut Segment, map: &mut String) -> Option<()> {
        let (name, value) = line.split_once(':').unwrap_or((line, ""));
        match name {
            "#EXT-X-TARGETDURATION" => self.target_s = value.parse().ok()?,
            "#EXT-X-PART-INF" => self.part_target_s = Some(number(value, "PART-TARGET")?),
            "#EXT-X-SERVER-CONTROL" => {
                self.can_block = attribute(value, "CAN-BLOCK-RELOAD").as_deref() == Some("YES");
                self.part_hold_back_s = number(value, "PART-HOLD-BACK");
            }
            "#EXT-X-MEDIA-SEQUENCE" => self.sequence = value.parse().ok()?,
            "#EXT-X-DISCONTINUITY-SEQUENCE" => self.discontinuity = value.parse().ok()?,
            "#EXT-X-DISCONTINUITY" => next.is_cut = true,
            "#EXT-X-MAP" => *map = attribute(value, "URI")?,
            "#EXT-X-PROGRAM-DATE-TIME" => next.date = Some(value.to_owned()),
            "#EXT-X-PART" => next.parts.push(Part {
                uri: attribute(value, "URI")?,
                lasts_s: number(value, "DURATION")?,
                is_independent: attribute(value, "INDEPENDENT").as_deref() == Some("YES"),
            }),
            "#EXTINF" => next.lasts_s = value.split(',').next()?.parse().ok()?,
            "#EXT-X-PRELOAD-HINT" => self.hint = attribute(value, "URI"),
            "#EXT-X-ENDLIST" => self.has_ended = true,
            _ => {}
        }
        Some(())
    }

    /// Of its complete segments together.
    pub fn lasts_s(&self) -> f64 {
        self.segments.iter().map(|segment| segment.lasts_s).sum()
    }

    /// What a player asks for to get the next part: segment and part.
    pub fn next_part(&self) -> (u64, usize) {
        (self.sequence + self.segments.len() as u64, self.open.len())
    }
}

impl Variant {
    /// The only variant of a list of variants.
    pub fn only(text: &str) -> Result<Self, String> {
        let mut lines = text.lines().skip_while(|line| !line.starts_with("#EXT-X-STREAM-INF:"));
        let (Some(told), Some(uri)) = (lines.next(), lines.next()) else {
            return Err(format!("no variant: {text}"));
        };
        let told = told.split_once(':').map_or("", |(_, told)| told);
        let bits = attribute(told, "BANDWIDTH").and_then(|bits| bits.parse().ok());
        let size = attribute(told, "RESOLUTION").and_then(|size| {
            let (width, height) = size.split_once('x')?;
            Some((width.parse().ok()?, height.parse().ok()?))
        });
        Ok(Self {
            uri: uri.to_owned(),
            bits_a_second: bits.ok_or_else(|| format!("no BANDWIDTH: {told}"))?,
            codecs: attribute(told, "CODECS").ok_or_else(|| format!("no CODECS: {told}"))?,
            size,
        })
    }
}

/// A value of an attribute list (RFC 8216 4.2), without its quotes.
pub fn attribute(list: &str, name: &str) -> Option<String> {
    let mut rest = list;
    while !rest.is_empty() {
        let (key, behind) = rest.split_once('=')?;
        let (value, next) = match behind.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"')?,
            None => behind.split_at(behind.find(',').unwrap_or(behind.len())),
        };
        if key.trim() == name {
            return Some(value.to_owned());
        }
        rest = next.trim_start_matches(',');
    }
    None
}

fn number(list: &str, name: &str) -> Option<f64> {
    attribute(list, name)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_in_quotes_do_not_end_a_value() {
        let list = "BANDWIDTH=90,CODECS=\"avc1.64001e,mp4a.40.2\",RESOLUTION=640x480";
        assert_eq!(attribute(list, "CODECS").as_deref(), Some("avc1.64001e,mp4a.40.2"));
        assert_eq!(attribute(list, "RESOLUTION").as_deref(), Some("640x480"));
        assert_eq!(attribute(list, "AUDIO"), None);
    }

    #[test]
    fn the_variant_and_its_address_are_read() {
        let text =
            "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=90,CODECS=\"avc1\",RESOLUTION=2x3\nlive.m3u8\n";
        let variant = Variant::only(text).expect("a variant");
        assert_eq!((variant.uri.as_str(), variant.size), ("live.m3u8", Some((2, 3))));
        assert!(Variant::only("#EXTM3U\n").is_err());
    }
}
