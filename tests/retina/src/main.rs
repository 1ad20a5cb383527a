//! The retina crate as an RTSP client for the table of clients:
//!
//! `framevisor-rtsp-retina tcp|udp URL picture|sound COUNT OUT [USER PASSWORD]`
//!
//! Writes the first COUNT pictures as H.264 with start codes, or frames of AAC with their headers. A packet that is
//! missing is a failure: retina counts them.
#![forbid(unsafe_code)]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::process::ExitCode;

use futures_util::StreamExt;
use retina::client::{
    Credentials, Demuxed, PlayOptions, Session, SessionOptions, SetupOptions, TcpTransportOptions,
    Transport, UdpTransportOptions,
};
use retina::codec::{CodecItem, FrameFormat};
use url::Url;

type Failure = Box<dyn std::error::Error>;

struct Ask {
    transport: Transport,
    url: Url,
    media: &'static str,
    count: usize,
    out: String,
    credentials: Option<Credentials>,
}

impl Ask {
    fn parse(words: &[String]) -> Result<Self, Failure> {
        let [transport, url, what, count, out, user @ ..] = words else {
            return Err("expected TRANSPORT URL picture|sound COUNT OUT [USER PASSWORD]".into());
        };
        let transport = match transport.as_str() {
            "tcp" => Transport::Tcp(TcpTransportOptions::default()),
            "udp" => Transport::Udp(UdpTransportOptions::default()),
            other => return Err(format!("retina knows no transport {other}").into()),
        };
        let credentials = match user {
            [username, password] => {
                Some(Credentials { username: username.clone(), password: password.clone() })
            }
            _ => None,
        };
        let media = if what == "sound" { "audio" } else { "video" };
        let (url, count) = (url.parse()?, count.parse()?);
        Ok(Self { transport, url, media, count, out: out.clone(), credentials })
    }

    async fn play(self) -> Result<Demuxed, Failure> {
        let options = SessionOptions::default().creds(self.credentials);
        let mut session = Session::describe(self.url, options).await?;
        let stream = session.streams().iter().position(|stream| stream.media() == self.media);
        let stream = stream.ok_or_else(|| format!("there is no {}", self.media))?;
        let options =
            SetupOptions::default().transport(self.transport).frame_format(FrameFormat::SIMPLE);
        session.setup(stream, options).await?;
        Ok(session.play(PlayOptions::default()).await?.demuxed()?)
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    match run().await {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

async fn run() -> Result<(), Failure> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let ask = Ask::parse(&words)?;
    let (count, out) = (ask.count, ask.out.clone());
    let mut demuxed = ask.play().await?;
    let mut out = BufWriter::new(File::create(out)?);
    let mut written = 0;
    while written < count {
        match demuxed.next().await.ok_or("the server ended it")?? {
            CodecItem::VideoFrame(frame) => {
                without_loss(frame.loss())?;
                out.write_all(frame.data())?;
                written += 1;
            }
            CodecItem::AudioFrame(frame) => {
                without_loss(frame.loss())?;
                out.write_all(frame.data())?;
                written += 1;
            }
            _ => {}
        }
        out.flush()?;
    }
    Ok(())
}

fn without_loss(packets: u16) -> Result<(), Failure> {
    if packets == 0 { Ok(()) } else { Err(format!("{packets} packets are missing").into()) }
}
