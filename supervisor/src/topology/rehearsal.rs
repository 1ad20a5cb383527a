//! A topology that is tried out beside whatever else runs on this machine.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};

use protocol::config::{RecorderConfig, RestartConfig, Shelf, WebConfig, WorkerConfig};
use protocol::units::Span;

use super::{Launch, Topology};

impl Topology {
    /// Files go below `folder`, each recorder's to a folder of its own; servers listen on free ports of
    /// this machine alone; nothing goes to servers elsewhere; what dies is started again at once, as often as
    /// it dies.
    pub(crate) fn rehearse(&mut self, folder: &Path) {
        let mut moved = BTreeMap::new();
        for worker in &mut self.workers {
            worker.restart = RestartConfig {
                delay: Span::from_millis(0),
                limit: None,
                ..RestartConfig::default()
            };
            match &mut worker.launch {
                Launch::Use(WorkerConfig::Recorder(recorder)) => {
                    let dir = folder.join("recordings").join(worker.name.as_str());
                    // All of it is kept: it is looked into at the end.
                    let segment = recorder.segment;
                    moved.insert(recorder.dir.clone(), dir.clone());
                    *recorder = RecorderConfig { segment, ..RecorderConfig::at(dir) };
                }
                Launch::Use(WorkerConfig::Rtsp(rtsp)) => {
                    rtsp.section.listen = free(rtsp.section.listen);
                    rtsp.section.tls = None;
                    rtsp.section.onvif = None;
                }
                Launch::Use(WorkerConfig::Web(web)) => free_web(&mut web.section),
                Launch::Use(WorkerConfig::Rules(rules)) => rules.keep_no_pictures(),
                Launch::Run { .. } | Launch::Use(_) => {}
            }
        }
        self.play_from(&moved);
        self.send_nothing();
    }

    /// What is recorded elsewhere is played from there.
    fn play_from(&mut self, moved: &BTreeMap<PathBuf, PathBuf>) {
        for worker in &mut self.workers {
            let shelf = match &mut worker.launch {
                Launch::Use(WorkerConfig::Rtsp(rtsp)) => &mut rtsp.shelf,
                Launch::Use(WorkerConfig::Web(web)) => &mut web.shelf,
                Launch::Run { .. } | Launch::Use(_) => continue,
            };
            if let Shelf::At(dir) = shelf
                && let Some(now) = moved.get(dir)
            {
                *shelf = Shelf::At(now.clone());
            }
        }
    }
}

/// With ports of its own, TCP and UDP.
pub(super) fn free_web(web: &mut WebConfig) {
    web.listen = free(web.listen);
    web.tls = None;
    (web.webrtc.listen, web.webrtc.addresses) = (None, Vec::new());
}

/// Of the same family.
pub(super) fn free(listen: SocketAddr) -> SocketAddr {
    match listen {
        SocketAddr::V4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        SocketAddr::V6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Overrides, parse};

    #[test]
    fn a_rehearsal_touches_neither_the_recordings_nor_the_addresses_of_the_real_thing() {
        let text = "version: 1
project: yard
workers:
  cam1: {use: ingest, source: 'test:', restart: {limit: 3 in 60s}}
  recorder: {use: recorder, in: cam1.packets, dir: /srv/recordings}
  rtsp: {use: rtsp, in: cam1.packets, listen: '0.0.0.0:8554', users: {anyone: {play: '*'}}}
  web: {use: web, in: cam1.packets, webrtc: {listen: '0.0.0.0:8189', addresses: [203.0.113.7], max_viewers: 8}}
  upload: {use: uploader, dir: /srv/recordings, to: s3://cameras/site1}
  alarm: {use: notify, url: 'http://10.0.0.9/alarm', on: [camera.down]}
";
        let mut topology =
            parse(text, "/srv/framevisor.yml".as_ref(), &Overrides::default()).unwrap();
        topology.rehearse("/tmp/x".as_ref());
        assert_eq!(topology.workers.len(), 4, "nothing goes to servers elsewhere");
        assert!(topology.workers.iter().all(|worker| worker.restart.limit.is_none()));
        assert_eq!(topology.workers[2].listen(), Some("127.0.0.1:0".parse().unwrap()));
        let Launch::Use(WorkerConfig::Web(web)) = &topology.workers[3].launch else {
            panic!("{:?}", topology.workers[3]);
        };
        let webrtc = &web.section.webrtc;
        assert_eq!((webrtc.listen, webrtc.addresses.len(), webrtc.max_viewers), (None, 0, 8));
        let Launch::Use(WorkerConfig::Recorder(recorder)) = &topology.workers[1].launch else {
            panic!("{:?}", topology.workers[1]);
        };
        assert_eq!(recorder.dir, Path::new("/tmp/x/recordings/recorder"));
    }
}
