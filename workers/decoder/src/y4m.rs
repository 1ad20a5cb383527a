//! YUV4MPEG2: a line about the stream, then a line and the samples of each picture. Pure.
//! (yuv4mpeg(5); the colour range is FFmpeg's `XCOLORRANGE`.)

use media::Still;
use protocol::stream::PixelFormat;
use protocol::time::NS_PER_S;

/// Begins each picture.
pub(crate) const FRAME: &[u8] = b"FRAME\n";

/// Without a duration to tell the rate.
const USUAL_NS: u64 = NS_PER_S / 25;
const RANGE_FULL: u8 = 2;

/// The format a picture is written in: its own, or the nearest that the file knows.
pub(crate) fn form(format: PixelFormat) -> PixelFormat {
    match format {
        PixelFormat::Nv12 => PixelFormat::Yuv420p,
        PixelFormat::Rgb24 | PixelFormat::Bgr24 | PixelFormat::Rgba => PixelFormat::Yuv444p,
        own => own,
    }
}

/// The file's first line, for pictures like this one that last `duration_ns` each.
pub(crate) fn header(still: &Still, duration_ns: i64) -> String {
    let duration_ns = u64::try_from(duration_ns).ok().filter(|ns| *ns > 0).unwrap_or(USUAL_NS);
    let rate = match NS_PER_S % duration_ns {
        0 => format!("{}:1", NS_PER_S / duration_ns),
        _ => format!("{NS_PER_S}:{duration_ns}"),
    };
    let chroma = match still.format {
        PixelFormat::Yuv422p => "422",
        PixelFormat::Yuv444p => "444",
        PixelFormat::Gray8 => "mono",
        _ => "420mpeg2",
    };
    let range = if still.colour.range == RANGE_FULL { "FULL" } else { "LIMITED" };
    let (width, height) = (still.width, still.height);
    format!("YUV4MPEG2 W{width} H{height} F{rate} Ip A1:1 C{chroma} XCOLORRANGE={range}\n")
}

#[cfg(test)]
mod tests {
    use protocol::stream::Colour;

    use super::*;

    fn still(format: PixelFormat, range: u8) -> Still {
        let colour = Colour { range, ..Colour::default() };
        Still { format, width: 64, height: 48, colour, samples: Vec::new() }
    }

    #[test]
    fn the_first_line_says_size_rate_and_format() {
        let line = header(&still(PixelFormat::Yuv420p, 1), 40_000_000);
        assert_eq!(line, "YUV4MPEG2 W64 H48 F25:1 Ip A1:1 C420mpeg2 XCOLORRANGE=LIMITED\n");
        let line = header(&still(PixelFormat::Gray8, 2), 33_366_667);
        assert!(line.contains("F1000000000:33366667") && line.contains("Cmono XCOLORRANGE=FULL"));
        assert!(header(&still(PixelFormat::Yuv444p, 0), 0).contains("F25:1 Ip A1:1 C444"));
    }

    #[test]
    fn every_format_has_one_the_file_knows() {
        for format in PixelFormat::ALL {
            assert_eq!(form(form(format)), form(format));
            assert!(format.planes() != 2 || form(format).planes() == 3);
        }
    }
}
