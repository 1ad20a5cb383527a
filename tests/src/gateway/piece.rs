//! What goes over an RTSP connection, cut into answers (or requests) and packets, and what is changed in it.

/// Bytes as they come, and whole pieces out of them.
#[derive(Debug, Default)]
pub(super) struct Pieces {
    rest: Vec<u8>,
}

impl Pieces {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.rest.extend_from_slice(bytes);
    }

    pub(super) fn next(&mut self) -> Option<Vec<u8>> {
        let whole = whole_bytes(&self.rest)?;
        Some(self.rest.drain(..whole).collect())
    }
}

/// Length of the packet or message that `bytes` begins with; `None` while it is not all there.
pub(crate) fn whole_bytes(bytes: &[u8]) -> Option<usize> {
    let length = if let [b'$', _, high, low, ..] = *bytes {
        4 + usize::from(u16::from_be_bytes([high, low]))
    } else if bytes.first() == Some(&b'$') {
        return None;
    } else {
        let head = bytes.windows(4).position(|end| end == b"\r\n\r\n")? + 4;
        let text = String::from_utf8_lossy(&bytes[..head]).to_ascii_lowercase();
        let body =
            text.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
        head + body.unwrap_or(0)
    };
    (bytes.len() >= length).then_some(length)
}

/// Of an interleaved packet; `None` for a message.
pub(super) fn channel(piece: &[u8]) -> Option<u8> {
    match piece {
        [b'$', channel, ..] => Some(*channel),
        _ => None,
    }
}

/// Moves the timestamps of a connection so that their 32 bits begin again soon.
#[derive(Debug)]
pub(super) struct Wrap {
    after_ticks: u32,
    /// Known from the first packet on.
    more: Option<u32>,
}

const VIDEO_HZ: u32 = 90_000;
const PACKET: usize = 4;
/// Where the timestamps are: in a packet of media, in a sender report.
const MEDIA: usize = PACKET + 4;
const REPORT: usize = PACKET + 16;
const SENDER_REPORT: u8 = 200;

impl Wrap {
    pub(super) fn after(seconds: u32) -> Self {
        Self { after_ticks: seconds * VIDEO_HZ, more: None }
    }

    pub(super) fn apply(&mut self, channel: u8, piece: &mut [u8]) {
        if channel == 0 {
            let first = self.after_ticks.wrapping_neg();
            let more = self.more.or_else(|| Some(first.wrapping_sub(ticks(piece, MEDIA)?)));
            self.more = more;
            add(piece, MEDIA, more.unwrap_or(0));
        } else if channel == 1 && piece.get(PACKET + 1) == Some(&SENDER_REPORT) {
            add(piece, REPORT, self.more.unwrap_or(0));
        }
    }
}

fn ticks(piece: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(piece.get(at..at + 4)?.try_into().ok()?))
}

fn add(piece: &mut [u8], at: usize, more: u32) {
    if let Some(before) = ticks(piece, at) {
        piece[at..at + 4].copy_from_slice(&before.wrapping_add(more).to_be_bytes());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_connection_is_cut_into_what_was_said() {
        let bytes = b"RTSP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nv=$\0\0\x01a$\x01\0\x02bb";
        let mut pieces = Pieces::default();
        let mut seen = Vec::new();
        for byte in bytes {
            pieces.push(&[*byte]);
            seen.extend(pieces.next());
        }
        assert_eq!(seen.iter().map(|it| channel(it)).collect::<Vec<_>>(), [None, Some(0), Some(1)]);
        assert_eq!(seen.concat(), bytes);
    }

    #[test]
    fn timestamps_begin_again_after_the_time_and_reports_go_along() {
        let packet = |ticks: u32| {
            let head = [b'$', 0, 0, 12, 0x80, 96, 0, 1];
            [&head[..], &ticks.to_be_bytes(), &[0; 4]].concat()
        };
        let mut wrap = Wrap::after(1);
        let mut moved = |ticks: u32| {
            let mut piece = packet(ticks);
            wrap.apply(0, &mut piece);
            super::ticks(&piece, MEDIA).unwrap()
        };
        assert_eq!(moved(5000), 90_000u32.wrapping_neg());
        assert_eq!(moved(5000 + 90_000 + 7), 7);
        let mut report =
            [&[b'$', 1, 0, 28, 0x80, 200, 0, 6][..], &[0; 12], &5000u32.to_be_bytes(), &[0; 8]]
                .concat();
        wrap.apply(1, &mut report);
        assert_eq!(super::ticks(&report, REPORT), Some(90_000u32.wrapping_neg()));
    }
}
