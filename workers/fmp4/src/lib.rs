//! Fragmented MP4, written and read back: bytes in, bytes out.
//!
//! What belongs here: boxes, parameter sets and the like, the timeline of a file, and the box that says which ring
//! packets a fragment holds. What does not: files, rings, clocks, and when to cut. The boxes come from
//! `mp4-atom`; our own code is the `uuid` box ([`Origin`]) and the walk over a file that may be torn.
//! `docs/recording.md` holds the byte table and the rules.
//!
//! ```text
//! file     = ftyp moov fragment*
//! fragment = uuid (Origin) moof mdat
//! ```
//!
//! [`place`] and [`index`] put fragments of several files into a new one.
#![forbid(unsafe_code)]

mod audio;
mod av1;
mod boxes;
mod codecs;
mod describe;
mod described;
mod error;
mod fragment;
mod framing;
mod jpeg;
mod movie;
mod muxer;
mod origin;
mod packet;
mod params;
mod place;
mod scan;
mod video;
mod vp9;

pub use codecs::codecs;
pub use described::{carries, described, is_intra_only};
pub use error::Error;
pub use fragment::{Fragment, NextDecode, Sample};
pub use movie::Movie;
pub use muxer::Muxer;
pub use origin::{FRAGMENT_UUID, Origin, OriginFlags, origin_bytes};
pub use packet::as_packet;
pub use params::parameter_sets;
pub use place::{Indexed, Intact, Placed, index, place};
pub use scan::{
    Damage, FoundFragment, FoundSample, FoundTrack, Init, Scan, holds_more, is_intact,
    read_fragment, read_init, scan,
};
