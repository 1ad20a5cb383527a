//! What those who look on lose when a worker stops or is started again.

use protocol::config::Kind;

use super::{How, Loss, kind};
use crate::topology::WorkerSpec;

pub(super) fn loss(spec: &WorkerSpec, loses: &str) -> Option<Loss> {
    Some(Loss { worker: spec.name.clone(), loses: loses.to_owned() })
}

pub(super) fn loss_of_a_restart(spec: &WorkerSpec, how: How) -> &'static str {
    match (kind(spec), how) {
        (Some(Kind::Ingest), _) => {
            "what the camera sends until the new process is ready, and then until its next key frame"
        }
        (Some(Kind::Replay), _) => "its place: the new process plays from the begin",
        (Some(Kind::Decoder), How::Beside) => "nothing: the new one goes on where the old one ends",
        (Some(Kind::Decoder), How::InPlace) | (Some(Kind::Encoder), _) => {
            "pictures until the next key frame"
        }
        (Some(Kind::Rtsp | Kind::Web), How::Beside) => {
            "nothing: clients stay with the old process until they leave"
        }
        (Some(Kind::Rtsp | Kind::Web), How::InPlace) => "their connections",
        (Some(Kind::RtspPush), _) => {
            "its connection: the server gets nothing until the new process has connected"
        }
        (Some(Kind::Recorder), _) => "nothing: it goes on behind its last frame, from the ring",
        (Some(Kind::Compositor), _) => "its pictures until the new process is ready",
        (Some(Kind::Uploader), _) => "nothing: what it had begun to send is sent anew",
        (Some(Kind::Notify), _) => "nothing: what waits is told by the new process",
        (Some(Kind::Pipe), _) => "what its command takes and prints until both are up again",
        (Some(Kind::Mixer), _) => "the sound of the mix until the new process is ready",
        (Some(Kind::Detect), _) => "what is in the pictures until the new process is ready",
        (Some(Kind::Motion), _) => "what moves until the new process is ready",
        (Some(Kind::Rules), _) => "nothing: it goes on behind the last record it has read",
        (None, _) => "what the command does until it is up again",
    }
}

pub(super) fn loss_of_a_stop(spec: &WorkerSpec) -> &'static str {
    match kind(spec) {
        Some(Kind::Ingest) => "the camera",
        Some(Kind::Replay) => "the rest of what it plays",
        Some(Kind::Compositor | Kind::Decoder | Kind::Encoder) => "its pictures",
        Some(Kind::Mixer) => "the sound of the mix",
        Some(Kind::Rtsp | Kind::Web) => "their connections",
        Some(Kind::RtspPush) => "its server, and who watches there",
        Some(Kind::Recorder) => "the recording from here on",
        Some(Kind::Uploader) => "nothing: recordings wait on the disk",
        Some(Kind::Notify) => "what happens from here on",
        Some(Kind::Detect | Kind::Motion | Kind::Pipe | Kind::Rules) | None => "what it does",
    }
}
