//! Clips for servers that serve files: pictures with the frame code, and a tone.

use std::path::Path;

use super::{FPS, SIZE};
use crate::{Outcome, ffmpeg};

/// Length of what is played round and round.
pub const CLIP_S: u32 = 60;
/// What its pictures count to.
pub const CLIP_PICTURES: u32 = CLIP_S * 25;
/// What its sound is.
pub const TONE_HZ: u32 = 1000;

/// A clip with the frame code (`docs/framecode.md`), made by ffmpeg alone: 25 pictures a second, about 2 Mbit/s.
pub fn make_clip(path: &Path, seconds: u32, gop: u32) -> Outcome<()> {
    make_clip_of(path, seconds, gop, 0)
}

/// The same with so many B-frames in a row.
pub fn make_clip_of(path: &Path, seconds: u32, gop: u32, b_frames: u32) -> Outcome<()> {
    let (width, height) = (SIZE.0, SIZE.1);
    let cell = width / 32;
    let bit = |shift: u32| format!("floor(N/pow(2,floor(X/{cell})-{shift}))");
    // Cells 24 to 31 are the check bits: the three bytes of the number, xor.
    let luma = format!(
        "if(lt(floor(X/{cell}),24),mod({},2),mod({}+{}+{},2))*219+16",
        bit(0),
        bit(24),
        bit(16),
        bit(8)
    );
    let strip =
        format!("nullsrc=s={width}x16:r={FPS},geq=lum='{luma}':cb=128:cr=128,split[top][bottom]");
    // With noise there is always something to spend the bits on: servers may leave out what fills up alone.
    let noise = "noise=alls=20:allf=t";
    let middle = format!("testsrc2=s={width}x{}:r={FPS},{noise}[middle]", height - 32);
    let graph = format!("{strip};{middle};[top][middle][bottom]vstack=3,format=yuv420p[out]");
    let (seconds, gop, b_frames) = (seconds.to_string(), gop.to_string(), b_frames.to_string());
    let name = path.display().to_string();
    ffmpeg::make(&[
        "-filter_complex",
        &graph,
        "-map",
        "[out]",
        "-t",
        &seconds,
        "-c:v",
        "libx264",
        "-preset",
        "veryfast",
        "-bf",
        &b_frames,
        "-g",
        &gop,
        "-sc_threshold",
        "0",
        "-b:v",
        "2M",
        "-maxrate",
        "2M",
        "-bufsize",
        "1M",
        &name,
    ])
}

/// The same with a tone beside it, in AAC.
pub fn add_tone(clip: &Path, to: &Path) -> Outcome<()> {
    let tone = format!("sine=frequency={TONE_HZ}:sample_rate=48000:duration={CLIP_S}");
    let (clip, to) = (clip.display().to_string(), to.display().to_string());
    ffmpeg::make(&["-i", &clip, "-f", "lavfi", "-i", &tone, "-c:v", "copy", "-c:a", "aac", &to])
}
