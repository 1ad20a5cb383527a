//! Who publishes to us (RFC 2326 section 10.3): a connection whose ANNOUNCE names a camera with
//! `source: 'publish:'` is handed on to the ingest worker of that camera, which serves it from there on. So a
//! camera that publishes does not notice when this server dies, and this server takes no packet of a stranger's
//! apart.

use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::path::Path;

use rtsp_types::headers;
use rtsp_types::{Request, StatusCode};
use worker::door::{self, NotHanded, Visitor};

use crate::feed::Feeds;
use crate::reply::Refusal;
use crate::session;
use crate::target::Target;

/// What a publisher is told to wait, in seconds, for a camera whose worker is just being started again.
const RETRY_AFTER_S: &str = "1";

/// The path of the camera that `request` of `peer` is to publish to: one that is served here and nothing else.
/// Whether the client may was asked before (`admission`).
pub fn camera_of(
    request: &Request<Vec<u8>>,
    peer: SocketAddr,
    feeds: &Feeds,
) -> Result<String, Refusal> {
    session::check(request)?;
    let target = request.request_uri().and_then(Target::of).ok_or(StatusCode::BadRequest)?;
    let feed = feeds.get(&target.path).ok_or(StatusCode::NotFound)?;
    tracing::debug!(client = %peer, camera = feed.path(), "wants to publish");
    Ok(feed.path().to_owned())
}

/// Hands a connection on with its ANNOUNCE and what came `behind` it. `None` of a camera that nobody is to
/// publish to: its request is to be answered like any other that is out of place.
pub fn hand_on(
    doors: &Path,
    path: &str,
    stream: BorrowedFd<'_>,
    ends: Ends,
    request: &Request<Vec<u8>>,
    behind: &[u8],
) -> Option<Result<(), Refusal>> {
    let mut bytes = Vec::new();
    // Writing into memory does not fail.
    let _ = request.write(&mut bytes);
    bytes.extend_from_slice(behind);
    let peer = SocketAddr::new(ends.peer.ip().to_canonical(), ends.peer.port());
    let visitor = Visitor { peer, local: ends.local.ip().to_canonical(), bytes };
    let refusal = match door::hand_on(doors, &door::of_publishers(path), stream, &visitor) {
        Ok(()) => return Some(Ok(())),
        Err(NotHanded::NoDoor) => return None,
        Err(why) => {
            tracing::warn!(client = %peer, camera = path, %why, "publisher not handed on");
            match why {
                NotHanded::TooLong { .. } => StatusCode::RequestMessageBodyTooLarge.into(),
                _ => {
                    let status = StatusCode::ServiceUnavailable;
                    Refusal::with(status, headers::RETRY_AFTER, RETRY_AFTER_S)
                }
            }
        }
    };
    Some(Err(refusal))
}

/// Of a connection.
#[derive(Clone, Copy, Debug)]
pub struct Ends {
    pub peer: SocketAddr,
    pub local: SocketAddr,
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use crate::feed::Feed;
    use crate::reply::Reply;
    use rtsp_types::Message;

    fn announce(url: &str) -> Request<Vec<u8>> {
        let text = format!("ANNOUNCE {url} RTSP/1.0\r\nCSeq: 2\r\nContent-Length: 4\r\n\r\nv=0\n");
        match Message::<Vec<u8>>::parse(text.as_bytes()) {
            Ok((Message::Request(request), _)) => request,
            other => panic!("{other:?}"),
        }
    }

    fn status(refusal: Refusal, request: &Request<Vec<u8>>) -> StatusCode {
        Reply::from(refusal).response(request).status()
    }

    fn ends() -> Ends {
        let address = |text: &str| text.parse().unwrap();
        Ends { peer: address("[::ffff:10.0.0.5]:4711"), local: address("[::ffff:10.0.0.1]:8554") }
    }

    #[test]
    fn only_a_camera_that_is_served_here_may_be_published_to() {
        let feeds: Feeds = [Arc::new(Feed::new("cam1"))].into_iter().collect();
        let asked = |url: &str| {
            let request = announce(url);
            camera_of(&request, ends().peer, &feeds).map_err(|refusal| status(refusal, &request))
        };
        assert_eq!(asked("rtsp://u:p@h:8554/cam1/?x=y"), Ok("cam1".to_owned()));
        assert_eq!(asked("rtsp://h/cam2"), Err(StatusCode::NotFound));
        assert_eq!(asked("rtsp://h/../cam1.rtsp"), Err(StatusCode::NotFound));
        assert_eq!(asked("*"), Err(StatusCode::BadRequest));
    }

    #[test]
    fn a_connection_goes_to_its_camera_with_all_that_was_read_of_it() {
        let folder = std::env::temp_dir().join(format!("framevisor-doors-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&folder);
        let request = announce("rtsp://h/cam1");
        let (ours, _clients) = UnixStream::pair().unwrap();
        let hand = || hand_on(&folder, "cam1", ours.as_fd(), ends(), &request, b"SETUP");
        assert!(hand().is_none(), "no camera to publish to");
        let door = door::Door::open(&folder, &door::of_publishers("cam1")).unwrap();
        assert!(hand().is_some_and(|handed| handed.is_ok()));
        let visitor = door.accept().unwrap().visitor;
        assert_eq!(visitor.peer.to_string(), "10.0.0.5:4711");
        assert_eq!(visitor.local.to_string(), "10.0.0.1");
        let text = String::from_utf8(visitor.bytes).unwrap();
        assert!(text.starts_with("ANNOUNCE rtsp://h/cam1 RTSP/1.0\r\n"), "{text}");
        assert!(text.contains("CSeq: 2\r\n") && text.ends_with("\r\n\r\nv=0\nSETUP"), "{text}");
        let full = (0..100).find_map(|_| hand().and_then(Result::err)).expect("it takes no end");
        assert_eq!(status(full, &request), StatusCode::ServiceUnavailable);
        std::fs::remove_dir_all(folder).unwrap();
    }
}
