//! Why there is no viewer of an offer. The web worker gives each its HTTP status.

/// In words for the one who asked; nothing in it is secret, and what it repeats of an offer is a few plain
/// characters.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("WebRTC is not to be had now: {why}")]
    Closed { why: String },
    #[error("{viewers} viewers watch by WebRTC, and more are not let in")]
    Full { viewers: usize },
    #[error("the offer is no WHEP offer: {why}")]
    Malformed { why: String },
    #[error("{camera} sends {has}, and the offer takes {offered}")]
    NothingInCommon { camera: String, has: &'static str, offered: String },
    #[error("{camera} has sent nothing so far: {why}")]
    Silent { camera: String, why: String },
    #[error("the offer has {bytes} bytes; {most} are the most", most = crate::OFFER_MAX_BYTES)]
    TooLarge { bytes: usize },
    #[error("{viewers} viewers of one address watch by WebRTC, and more of them are not let in")]
    TooMany { viewers: usize },
    #[error("{camera} cannot be watched by WebRTC: {why}")]
    Unfit { camera: String, why: String },
    #[error("there is no camera '{camera}' with packets among the inputs")]
    UnknownCamera { camera: String },
}
