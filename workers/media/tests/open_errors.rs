//! Why a source cannot be opened is told apart, and nothing waits for ever.
#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use common::Folder;
use media::{Demuxer, Input, MediaError};

fn open_file(path: &std::path::Path) -> MediaError {
    Demuxer::open(&Input::File(path.to_owned()), Box::new(|| false)).unwrap_err()
}

fn open_rtsp(listener: &TcpListener, stop: &Arc<AtomicBool>) -> MediaError {
    let port = listener.local_addr().unwrap().port();
    let input = Input::Rtsp {
        url: format!("rtsp://user:secret@127.0.0.1:{port}/cam"),
        name: format!("rtsp://127.0.0.1:{port}/cam"),
    };
    let stop = Arc::clone(stop);
    Demuxer::open(&input, Box::new(move || stop.load(Ordering::SeqCst))).unwrap_err()
}

#[test]
fn a_missing_file_is_not_found() {
    let error = open_file(&Folder::new("missing").path("no.mp4"));
    assert!(matches!(error, MediaError::NotFound { .. }), "{error}");
}

#[test]
fn a_text_file_and_an_empty_file_are_no_media() {
    let folder = Folder::new("text");
    let path = folder.path("notes.mp4");
    for content in ["hello, this is no film\n".repeat(200), String::new()] {
        std::fs::write(&path, content).unwrap();
        let error = open_file(&path);
        assert!(matches!(error, MediaError::Format { .. }), "{error}");
    }
}

#[test]
fn a_playlist_cannot_reach_out_of_a_file() {
    let folder = Folder::new("playlist");
    let path = folder.path("list.m3u8");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.set_nonblocking(true).unwrap();
    let port = listener.local_addr().unwrap().port();
    let list =
        format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/a.ts\n");
    std::fs::write(&path, list).unwrap();
    let error = open_file(&path);
    assert!(matches!(error, MediaError::Format { .. }), "{error}");
    assert!(listener.accept().is_err(), "FFmpeg followed the playlist");
}

#[test]
fn a_port_without_a_server_is_refused() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let input =
        Input::Rtsp { url: format!("rtsp://127.0.0.1:{port}/cam"), name: "the camera".to_owned() };
    let error = Demuxer::open(&input, Box::new(|| false)).unwrap_err();
    assert!(matches!(error, MediaError::Refused { .. }), "{error}");
}

#[test]
fn wrong_credentials_and_wrong_paths_are_told_apart() {
    let answer = |status: &'static str| {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let server = listener.try_clone().unwrap();
        std::thread::spawn(move || serve(&server, status));
        open_rtsp(&listener, &Arc::default())
    };
    let error = answer("401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"cam\"");
    assert!(matches!(error, MediaError::Unauthorized { .. }), "{error}");
    assert!(!error.to_string().contains("secret"), "{error}");
    let error = answer("404 Not Found");
    assert!(matches!(error, MediaError::NotFound { .. }), "{error}");
}

#[test]
fn a_mute_camera_is_given_up_when_the_interrupt_says_so() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let stop: Arc<AtomicBool> = Arc::default();
    let raise = Arc::clone(&stop);
    let alarm = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(300));
        raise.store(true, Ordering::SeqCst);
    });
    let error = open_rtsp(&listener, &stop);
    assert!(matches!(error, MediaError::Interrupted { .. }), "{error}");
    alarm.join().unwrap();
}

/// Answers every request of every connection with `status`.
fn serve(listener: &TcpListener, status: &str) {
    for connection in listener.incoming().flatten() {
        answer_requests(connection, status);
    }
}

fn answer_requests(mut connection: TcpStream, status: &str) {
    let mut lines = BufReader::new(connection.try_clone().unwrap()).lines();
    let mut sequence = String::new();
    while let Some(Ok(line)) = lines.next() {
        if let Some(number) = line.strip_prefix("CSeq: ") {
            number.clone_into(&mut sequence);
        }
        if line.is_empty() {
            let reply = format!("RTSP/1.0 {status}\r\nCSeq: {sequence}\r\n\r\n");
            if connection.write_all(reply.as_bytes()).is_err() {
                return;
            }
        }
    }
}
