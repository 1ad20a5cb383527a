//! Which player plays what: each of them against our server, and where it fails, against gst-rtsp-server in the
//! same run. A player that fails at both cannot do it; everything else that fails is ours.
//!
//! | cell | holds |
//! |---|---|
//! | pass | what it showed is exact |
//! | pass at the second try | the first one failed as told: players race with themselves on a busy machine |
//! | client cannot | it fails at gst-rtsp-server too |
//! | not served | our server has no such transport |
//! | fails | at ours alone, or there is nothing to compare with |

use std::fmt;
use std::fs;
use std::path::PathBuf;

use nix::sys::signal::Signal;
use serde_json::{Map, Value, json};

use super::RESTART_AT_ONCE;
use super::rtsp_clips::{CLIP_PICTURES, CLIP_S, add_tone, make_clip};
use super::rtsp_players::{Ask, By, PICTURES, PLAYERS, Player};
use crate::peer::{Peer, Served};
use crate::processes;
use crate::project::{Project, free_port, source_root};
use crate::{Failure, Outcome, ensure, viewer, wait_for};

pub const USER: &str = "anna";
pub const PASSWORD: &str = "correct-horse";
/// Of the range that nobody routes on (RFC 2365), one for each server.
const GROUPS: &str = "239.255.77.0/28";
const PEER_GROUP: &str = "239.255.78.1";

/// What a player is put to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    Tcp,
    Udp,
    Multicast,
    Tunnel,
    Tls,
    Audio,
    Auth,
    Reconnect,
}

/// In the order of the table.
pub const COLUMNS: [(Column, &str); 8] = [
    (Column::Tcp, "tcp"),
    (Column::Udp, "udp"),
    (Column::Multicast, "multicast"),
    (Column::Tunnel, "http_tunnel"),
    (Column::Tls, "tls"),
    (Column::Audio, "audio"),
    (Column::Auth, "auth"),
    (Column::Reconnect, "reconnect"),
];

/// What was seen of one player in one column.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Cell {
    Pass,
    /// With why it did not at first.
    PassAtLast(String),
    /// With what it fails at gst-rtsp-server.
    ClientCannot(String),
    NotServed(String),
    Fails(String),
}

impl Cell {
    fn holds(&self) -> bool {
        matches!(self, Self::Pass | Self::PassAtLast(_) | Self::ClientCannot(_))
    }
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pass => f.write_str("pass"),
            Self::PassAtLast(why) => write!(f, "pass at the second try ({why})"),
            Self::ClientCannot(why) => write!(f, "client cannot ({why})"),
            Self::NotServed(why) => write!(f, "not served ({why})"),
            Self::Fails(why) => write!(f, "FAILS ({why})"),
        }
    }
}

/// The player's row among those of the report.
pub fn row_name(player: &Player) -> &'static str {
    match player.name {
        "ffmpeg" => "client_ffmpeg",
        "pyav" => "client_pyav",
        "opencv" => "client_opencv",
        "gstreamer" => "client_gstreamer",
        "mpv" => "client_mpv",
        _ => "client_retina",
    }
}

/// Our server with everything it can do, and what the players write to.
#[derive(Debug)]
pub struct Site {
    project: Project,
    folder: PathBuf,
    clip: PathBuf,
    heard: PathBuf,
    password_file: PathBuf,
    plain: u16,
    multicast: Result<u16, String>,
    tls: Result<u16, String>,
    auth: Result<u16, String>,
}

impl Site {
    /// Makes the clips and starts a server for each thing that a server can be told.
    pub fn open() -> Outcome<Self> {
        let project = Project::new("version: 1\nworkers: {}\n")?;
        let folder = project.dir().join("players");
        fs::create_dir_all(&folder).map_err(Failure::new)?;
        let (clip, heard) = (folder.join("clip.mp4"), folder.join("heard.mp4"));
        make_clip(&clip, CLIP_S, 25)?;
        add_tone(&clip, &heard)?;
        let password_file = give_password(&project)?;
        let (plain, multicast, tls, auth) =
            (free_port()?, free_port()?, free_port()?, free_port()?);
        let mut text = format!(
            "version: 1
workers:
  cam: {{use: ingest, source: '{}'}}
  heard: {{use: ingest, source: '{}'}}
  rtsp: {{use: rtsp, in: [cam.packets, heard.packets], listen: '127.0.0.1:{plain}'{RESTART_AT_ONCE}}}
",
            clip.display(),
            heard.display()
        );
        let inner = free_port()?;
        let (certificate, key) = certificate();
        let tls_keys = format!(
            "listen: '127.0.0.1:{inner}', tls: {{cert: '{}', key: '{}', listen: '127.0.0.1:{tls}'}}",
            certificate.display(),
            key.display()
        );
        let users = format!(
            "listen: '127.0.0.1:{auth}', users: {{{USER}: {{password: '${{cred:{USER}}}', play: '*'}}}}"
        );
        let groups = format!("listen: '127.0.0.1:{multicast}', multicast: {GROUPS}");
        let mut add = |name: &str, keys: &str, port: u16| -> Outcome<Result<u16, String>> {
            let worker = format!("  {name}: {{use: rtsp, in: cam.packets, {keys}}}\n");
            let with = format!("{text}{worker}");
            let refused = refusal(&project, &with)?;
            if refused.is_none() {
                text = with;
            }
            Ok(refused.map_or(Ok(port), Err))
        };
        let multicast = add("rtsp-multicast", &groups, multicast)?;
        let tls = add("rtsp-tls", &tls_keys, tls)?;
        let auth = add("rtsp-users", &users, auth)?;
        project.write_topology(&text)?;
        project.up()?;
        Ok(Self { project, folder, clip, heard, password_file, plain, multicast, tls, auth })
    }

    /// One player in every column; fails when a cell does not hold.
    pub fn row(&self, player: &Player, columns: &[(Column, &'static str)]) -> Outcome<Value> {
        if let Some(why) = player.missing() {
            return Ok(json!({ "skipped": why }));
        }
        let mut cells = Vec::new();
        for (column, name) in columns {
            cells.push((*name, self.cell(player, *column)?));
        }
        let told: Vec<String> =
            cells.iter().map(|(name, cell)| format!("{name}: {cell}")).collect();
        ensure(cells.iter().all(|(_, cell)| cell.holds()), || told.join("; "))?;
        let told = cells.into_iter().map(|(name, cell)| (name.to_owned(), json!(cell.to_string())));
        Ok(Value::Object(Map::from_iter(told)))
    }

    fn cell(&self, player: &Player, column: Column) -> Outcome<Cell> {
        let ask = match self.ask(column)? {
            Ok(ask) => ask,
            Err(why) => return Ok(Cell::NotServed(why)),
        };
        let Err(ours) = self.at_ours(player, column, &ask) else { return Ok(Cell::Pass) };
        let peer = self.at_peer(player, column, &ask)?;
        if let Ok(Err(peer)) = peer {
            return Ok(Cell::ClientCannot(format!("here: {ours}; gst-rtsp-server: {peer}")));
        }
        let compared = match peer {
            Ok(_) => "plays from gst-rtsp-server".to_owned(),
            Err(why) => format!("nothing to compare with: {why}"),
        };
        Ok(match self.at_ours(player, column, &ask) {
            Ok(()) => Cell::PassAtLast(ours.to_string()),
            Err(again) => Cell::Fails(format!("{ours}; again {again}; {compared}")),
        })
    }

    fn at_ours(&self, player: &Player, column: Column, ask: &Ask) -> Outcome<()> {
        match column {
            Column::Reconnect => self.reconnects(player, ask),
            _ => player.plays(ask, &self.folder, CLIP_PICTURES).map(drop),
        }
    }

    /// What the player is asked for, or why that is not served.
    fn ask(&self, column: Column) -> Outcome<Result<Ask, String>> {
        let ask = Ask {
            scheme: "rtsp",
            host: "127.0.0.1".to_owned(),
            port: self.plain,
            path: "cam",
            by: By::Tcp,
            user: None,
            sound: false,
            pictures: PICTURES,
        };
        let serves = |port, transport: &str| {
            let url = format!("rtsp://127.0.0.1:{port}/cam");
            let refused = || format!("SETUP with {transport} is refused");
            let is_served = viewer::serves(port, &url, transport);
            is_served.map(|served| if served { Ok(()) } else { Err(refused()) })
        };
        Ok(match column {
            Column::Tcp | Column::Reconnect => Ok(ask),
            Column::Udp => serves(self.plain, "RTP/AVP;unicast;client_port=29990-29991")?
                .map(|()| Ask { by: By::Udp, ..ask }),
            Column::Multicast => match &self.multicast {
                Ok(port) => serves(*port, "RTP/AVP;multicast")?.map(|()| Ask {
                    by: By::Multicast,
                    port: *port,
                    ..ask
                }),
                Err(why) => Err(why.clone()),
            },
            Column::Tunnel => match viewer::serves_tunnels(self.plain, "cam")? {
                true => Ok(Ask { by: By::Tunnel, ..ask }),
                false => Err("GET is refused".to_owned()),
            },
            Column::Tls => self.tls.clone().map(|port| Ask { scheme: "rtsps", port, ..ask }),
            Column::Audio => Ok(Ask { path: "heard", sound: true, ..ask }),
            Column::Auth => {
                self.auth.clone().map(|port| Ask { port, user: Some((USER, PASSWORD)), ..ask })
            }
        })
    }

    /// The server is killed while it plays: the player ends, and plays anew at once.
    fn reconnects(&self, player: &Player, ask: &Ask) -> Outcome<()> {
        let endless = Ask { pictures: 100_000, ..ask.clone() };
        let begun = player.begin(&endless, &self.folder)?;
        let before = self.project.pid("rtsp")?;
        let ended = ends_with(begun, || processes::signal(before, Signal::SIGKILL));
        let again = player.plays(ask, &self.folder, CLIP_PICTURES);
        self.project.wait_restarted("rtsp", before)?;
        ended?;
        again.map(drop)
    }

    /// The same asked of gst-rtsp-server; `Err` where there is none.
    fn at_peer(
        &self,
        player: &Player,
        column: Column,
        ask: &Ask,
    ) -> Outcome<Result<Outcome<()>, String>> {
        let (certificate, key) = certificate();
        let served = Served {
            file: Some(if ask.sound { &self.heard } else { &self.clip }),
            codec: None,
            sound: ask.sound,
            user: (column == Column::Auth).then_some((USER, self.password_file.as_path())),
            tls: (column == Column::Tls).then_some((certificate.as_path(), key.as_path())),
            multicast: (column == Column::Multicast).then_some(PEER_GROUP),
        };
        let peer = match Peer::gst(&served)? {
            Ok(peer) => peer,
            Err(why) => return Ok(Err(why)),
        };
        let asked = |peer: &Peer| Ask {
            host: peer.host().to_owned(),
            port: peer.port(),
            path: "cam",
            ..ask.clone()
        };
        if column != Column::Reconnect {
            let seen = player.plays(&asked(&peer), &self.folder, CLIP_PICTURES);
            return Ok(Ok(seen.map(drop)));
        }
        let begun = player.begin(&Ask { pictures: 100_000, ..asked(&peer) }, &self.folder)?;
        let ended = ends_with(begun, || drop(peer));
        let Ok(peer) = Peer::gst(&served)? else { return Err(Failure::new("gst is gone")) };
        let again = player.plays(&asked(&peer), &self.folder, CLIP_PICTURES);
        Ok(Ok(ended.and_then(|()| again.map(drop))))
    }
}

/// Waits until the player has something, lets its server die, and waits for the player to notice.
fn ends_with((mut child, out): (std::process::Child, PathBuf), kill: impl FnOnce()) -> Outcome<()> {
    let has_begun = || out.metadata().is_ok_and(|it| it.len() > 0).then_some(());
    let begun = wait_for(60, "the player to begin", has_begun);
    kill();
    let has_ended = || child.try_wait().ok().flatten();
    let ended = wait_for(60, "the player to notice that its server died", has_ended);
    // SIGTERM reaches the player through `timeout`.
    processes::signal(child.id(), Signal::SIGTERM);
    let _ = child.wait();
    let _ = fs::remove_file(out);
    begun.and(ended).map(drop)
}

/// What `check` says against a topology, in a line.
fn refusal(project: &Project, topology: &str) -> Outcome<Option<String>> {
    project.write_topology(topology)?;
    let output = project.run(&["check"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let line = said.lines().find(|line| line.contains("rror")).or_else(|| said.lines().next());
    Ok((!output.status.success()).then(|| line.unwrap_or("check fails").trim().to_owned()))
}

fn certificate() -> (PathBuf, PathBuf) {
    let folder = source_root().join("tests/tls");
    (folder.join("server.pem"), folder.join("server.key"))
}

/// What `${cred:anna}` names.
pub fn give_password(project: &Project) -> Outcome<PathBuf> {
    use std::os::unix::fs::PermissionsExt;
    let folder = project.dir().join("credentials");
    fs::create_dir_all(&folder).map_err(Failure::new)?;
    let path = folder.join(USER);
    fs::write(&path, PASSWORD).map_err(Failure::new)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).map_err(Failure::new)?;
    Ok(path)
}

/// The table in its short form: players that everybody has, over TCP.
pub fn over_tcp(names: &[&str]) -> Outcome<Value> {
    let site = Site::open()?;
    let mut all = Map::new();
    for player in PLAYERS.iter().filter(|player| names.contains(&player.name)) {
        let row = site.row(player, &[(Column::Tcp, "tcp"), (Column::Audio, "audio")])?;
        all.insert(player.name.to_owned(), row);
    }
    site.project.down()?;
    Ok(Value::Object(all))
}
