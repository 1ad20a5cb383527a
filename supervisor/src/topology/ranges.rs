//! The numbers a configuration may hold; the types alone allow more.

use std::fmt::Display;

use protocol::config::{RingConfig, WorkerConfig};
use protocol::units::{BitRate, Span};

use super::problem::KeyProblem;

/// Every value of `config` outside its range, with its key.
pub(super) fn of_worker(config: &WorkerConfig) -> Vec<(&'static str, KeyProblem)> {
    let checks = match config {
        WorkerConfig::Decoder(decoder) => vec![
            check("threads", decoder.threads, 1, 16),
            // The largest picture FFmpeg itself accepts is a little under this.
            check("max_pixels", decoder.max_pixels, 64, 16_384 * 16_384),
        ],
        WorkerConfig::Ingest(_) => vec![],
        WorkerConfig::Motion(motion) => {
            vec![check("fps", motion.fps, 1, 240), check("sensitivity", motion.sensitivity, 1, 100)]
        }
        WorkerConfig::Recorder(recorder) => {
            // A file a second is the most a folder should take; a day is one file a day.
            let (second, day) = (Span::from_millis(1_000), Span::from_millis(86_400_000));
            vec![check("segment", recorder.segment, second, day)]
        }
        WorkerConfig::Rtsp(rtsp) => vec![check("max_clients", rtsp.max_clients, 1, 10_000)],
        WorkerConfig::Web(web) => vec![check("jpeg_quality", web.jpeg_quality, 1, 100)],
    };
    checks.into_iter().flatten().collect()
}

/// As [`of_worker`], for one entry of `rings:`.
pub(super) fn of_ring(config: &RingConfig) -> Vec<(&'static str, KeyProblem)> {
    let checks = [
        check("spare_readers", config.spare_readers, 0, 64),
        check("history", config.history, 0, 64),
        // Ten seconds of it are reserved: 1G is 1.25 GB of shared memory.
        check("max_bitrate", config.max_bitrate, BitRate(64_000), BitRate(1_000_000_000)),
    ];
    checks.into_iter().flatten().collect()
}

type Check = Option<(&'static str, KeyProblem)>;

fn check<T: PartialOrd + Display>(key: &'static str, seen: T, lowest: T, highest: T) -> Check {
    if (&lowest..=&highest).contains(&&seen) {
        return None;
    }
    let [seen, lowest, highest] = [seen, lowest, highest].map(|value| value.to_string());
    Some((key, KeyProblem::OutOfRange { key, seen, lowest, highest }))
}

#[cfg(test)]
mod tests {
    use protocol::config::{MotionConfig, WebConfig};

    use super::*;

    #[test]
    fn the_defaults_are_in_range() {
        assert_eq!(of_worker(&WorkerConfig::Motion(MotionConfig::default())), []);
        assert_eq!(of_worker(&WorkerConfig::Web(WebConfig::default())), []);
        assert_eq!(of_ring(&RingConfig::default()), []);
    }

    #[test]
    fn every_number_out_of_range_is_named() {
        let config = WorkerConfig::Motion(MotionConfig { fps: 0, sensitivity: 101 });
        let keys: Vec<_> = of_worker(&config).into_iter().map(|(key, _)| key).collect();
        assert_eq!(keys, ["fps", "sensitivity"]);
    }
}
