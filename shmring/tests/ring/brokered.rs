//! Rings without names: what goes through a broker, and what its clients can do to it.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io::IoSlice;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::fs::{DirBuilderExt, FileExt};
use std::path::PathBuf;

use nix::libc;
use nix::unistd::geteuid;
use protocol::config::{Access, RingConfig};
use protocol::control::{Essential, RingContract};
use protocol::name::RingName;
use protocol::units::Span;
use rustix::net::{
    AddressFamily, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketAddrUnix,
    SocketFlags, SocketType, connect, recv, send, sendmsg, socket_with,
};
use shmring::broker::{Broker, SOCKET};
use shmring::{
    Error, FrameOptions, FrameReader, FrameWriter, Next, PacketReader, PacketWriter, Start,
};

use crate::frames::{item, pixels, send as send_picture};
use crate::packets::{options, publish};
use crate::{NOW, Project, SOON};

/// A project with a broker, where programs of this user look for it.
pub(crate) struct Brokerage {
    pub(crate) project: Project,
    folder: PathBuf,
    broker: Option<Broker>,
}

impl Brokerage {
    pub(crate) fn new() -> Self {
        let project = Project::new();
        let base = std::env::temp_dir().join(format!("framevisor-{}", geteuid()));
        let folder = base.join(project.0.as_str());
        DirBuilder::new().recursive(true).mode(0o700).create(&folder).unwrap();
        let mut brokerage = Self { project, folder, broker: None };
        brokerage.start();
        brokerage
    }

    fn start(&mut self) {
        self.broker = None;
        let rings = ["cam.events", "cam.frames", "cam.packets"].map(|ring| ring.parse().unwrap());
        let socket = self.socket();
        self.broker = Some(Broker::open(&self.project.0, rings, &socket, None).unwrap());
    }

    fn socket(&self) -> PathBuf {
        self.folder.join(SOCKET)
    }

    fn contract(&self, ring: &str, places: u32) -> RingContract {
        let config = RingConfig { access: Access::Brokered, ..RingConfig::default() };
        RingContract::new(ring.parse().unwrap(), config, places)
    }

    pub(crate) fn frames(&self, places: u32) -> FrameWriter {
        let contract = self.contract("cam.frames", places);
        FrameWriter::create(&self.project.0, &contract, None).unwrap()
    }

    pub(crate) fn attach(&self, name: &str) -> Result<FrameReader, Error> {
        let ring = "cam.frames".parse().unwrap();
        FrameReader::attach(&self.project.0, &ring, &FrameOptions::named(name))
    }

    fn client(&self) -> OwnedFd {
        let flags = SocketFlags::CLOEXEC;
        let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None).unwrap();
        connect(&socket, &SocketAddrUnix::new(self.socket()).unwrap()).unwrap();
        socket
    }

    /// The segment a client gets that asks for it by hand.
    fn open(&self, request: &str) -> File {
        use std::io::IoSliceMut;

        use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, recvmsg};

        let client = self.client();
        send(&client, request.as_bytes(), SendFlags::empty()).unwrap();
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let mut text = [0; 4096];
        let flags = RecvFlags::CMSG_CLOEXEC;
        recvmsg(&client, &mut [IoSliceMut::new(&mut text)], &mut control, flags).unwrap();
        let descriptors = control.drain().filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
            _ => None,
        });
        File::from(descriptors.flatten().next().expect("a descriptor"))
    }
}

impl Drop for Brokerage {
    fn drop(&mut self) {
        self.broker = None;
        let _ = std::fs::remove_dir_all(&self.folder);
    }
}

/// The same file, opened for writing if that is allowed.
fn again(file: impl AsFd) -> std::io::Result<File> {
    let path = format!("/proc/self/fd/{}", file.as_fd().as_raw_fd());
    OpenOptions::new().read(true).write(true).open(path)
}

#[test]
fn pictures_go_through_a_ring_without_names_and_stay_while_they_are_held() {
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(2);
    send_picture(&writer, 1);
    // Attached while the writer runs: it hears of the page before the reader has it.
    let mut reader = brokerage.attach("reader").unwrap();
    let held = item(reader.next(SOON).unwrap());
    for value in 2..200 {
        send_picture(&writer, value);
    }
    assert!(pixels(&held).iter().all(|sample| *sample == 1));
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 199);
    assert_eq!(brokerage.project.files(), Vec::<String>::new());
    let ring: RingName = "cam.frames".parse().unwrap();
    let status = brokerage.broker.as_ref().unwrap().status(&ring);
    assert!(status.live && status.head == 199 && status.bytes > 100_000, "{status:?}");
    assert_eq!(status.readers[0].name, "reader");
    assert_eq!(writer.readers(), 1);
    drop(reader);
    drop(held);
    assert_eq!(writer.readers(), 0);
}

#[test]
fn a_writers_restart_is_followed_and_what_is_held_of_the_old_one_stays() {
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(2);
    send_picture(&writer, 1);
    let mut reader = brokerage.attach("reader").unwrap();
    let held = item(reader.next(SOON).unwrap());
    let second =
        FrameWriter::create(&brokerage.project.0, &brokerage.contract("cam.frames", 2), None);
    assert!(matches!(second, Err(Error::HasWriter { .. })));
    drop(writer);
    let writer = brokerage.frames(2);
    send_picture(&writer, 2);
    assert!(
        matches!(reader.next(SOON).unwrap(), Next::NewEpoch { epoch } if epoch == writer.epoch())
    );
    let new = item(reader.next(SOON).unwrap());
    for value in 3..200 {
        send_picture(&writer, value);
    }
    assert_eq!((pixels(&held)[0], pixels(&new)[0]), (1, 2), "its page went to the new writer too");
}

#[test]
fn packets_of_a_dead_writer_are_read_to_the_last_before_those_of_its_successor() {
    let brokerage = Brokerage::new();
    let contract = brokerage.contract("cam.packets", 1);
    let create = || PacketWriter::create(&brokerage.project.0, &contract, &[]).unwrap();
    let mut writer = create();
    publish(&mut writer, true, b"one");
    let mut reader =
        PacketReader::attach(&brokerage.project.0, &contract.name, &options(Start::Oldest))
            .unwrap();
    publish(&mut writer, false, b"two");
    drop(writer);
    let mut writer = create();
    publish(&mut writer, true, b"three");
    let mut payloads = Vec::new();
    while let Next::Item(_) | Next::NewEpoch { .. } = {
        let next = reader.next(NOW).unwrap();
        if let Next::Item(packet) = &next {
            payloads.push(packet.payload.clone());
        }
        next
    } {}
    assert_eq!(payloads, [&b"one"[..], b"two", b"three"]);
}

#[test]
fn readers_of_packets_come_and_go_while_nothing_is_published() {
    let brokerage = Brokerage::new();
    let contract = brokerage.contract("cam.events", 1);
    let essential =
        vec![Essential { reader: "recorder".to_owned(), deadline: Span::from_millis(9) }];
    for contract in [contract.clone(), RingContract { essential, ..contract }] {
        let mut writer = PacketWriter::create(&brokerage.project.0, &contract, &[]).unwrap();
        let attach =
            || PacketReader::attach(&brokerage.project.0, &contract.name, &options(Start::Oldest));
        // More than the writer's socket holds pages.
        (0..400).for_each(|_| drop(attach().unwrap()));
        let mut reader = attach().unwrap();
        publish(&mut writer, true, b"late");
        let Next::Item(packet) = reader.next(SOON).unwrap() else { panic!("no packet") };
        assert_eq!(&packet.payload[..], b"late");
    }
}

#[test]
fn a_reader_can_neither_write_nor_cut_off_what_it_is_given_and_gets_no_page_of_another() {
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(2);
    send_picture(&writer, 1);
    let epoch = writer.epoch();
    for part in [
        r#""anchor""#.to_owned(),
        format!(r#"{{"index":{{"epoch":{epoch}}}}}"#),
        format!(r#"{{"data":{{"epoch":{epoch},"generation":1}}}}"#),
    ] {
        let file =
            brokerage.open(&format!(r#"{{"v":1,"do":"open","ring":"cam.frames","part":{part}}}"#));
        assert!(file.write_all_at(b"x", 0).is_err(), "{part}");
        // Its own user may open it anew, and still not write it.
        if let Ok(file) = again(&file) {
            assert!(file.write_all_at(b"x", 0).is_err(), "{part}");
            assert!(file.set_len(0).is_err(), "{part}");
            assert!(file.set_len(1 << 30).is_err(), "{part}");
        }
    }
    let page = brokerage.open(r#"{"v":1,"do":"claim","ring":"cam.frames"}"#);
    page.write_all_at(b"x", 4000).unwrap();
    assert!(page.set_len(0).is_err() && page.write_all_at(b"x", 4096).is_err());
    let client = brokerage.client();
    let request = br#"{"v":1,"do":"open","ring":"cam.frames","part":{"lease":{"place":0}}}"#;
    send(&client, request, SendFlags::empty()).unwrap();
    let mut answer = [0; 4096];
    let (length, _) = recv(&client, &mut answer, RecvFlags::empty()).unwrap();
    assert!(String::from_utf8_lossy(&answer[..length]).contains("refused"));
}

#[test]
fn a_page_that_was_let_go_of_is_never_given_to_another_reader() {
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(1);
    send_picture(&writer, 1);
    let theirs = brokerage.open(r#"{"v":1,"do":"claim","ring":"cam.frames"}"#);
    let kept = again(&theirs).unwrap();
    let refused = brokerage.attach("second").unwrap_err();
    assert!(matches!(refused, Error::NoPlace { .. }), "{refused}");
    drop(theirs);
    let mut reader = brokerage.attach("second").unwrap();
    let held = item(reader.next(SOON).unwrap());
    // What its predecessor still has is no page of this ring any more.
    kept.write_all_at(&[0; 4096], 0).unwrap();
    for value in 2..200 {
        send_picture(&writer, value);
    }
    assert_eq!(pixels(&held)[0], 1);
}

#[test]
fn without_its_broker_the_epoch_goes_on_and_a_new_broker_serves_the_next() {
    let mut brokerage = Brokerage::new();
    let writer = brokerage.frames(2);
    send_picture(&writer, 1);
    let mut reader = brokerage.attach("reader").unwrap();
    brokerage.broker = None;
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 1);
    for value in 2..100 {
        send_picture(&writer, value);
    }
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 99);
    assert!(brokerage.attach("late").unwrap_err().is_absent());
    drop(writer);
    brokerage.start();
    let writer = brokerage.frames(2);
    send_picture(&writer, 200);
    assert!(matches!(reader.next(SOON).unwrap(), Next::NewEpoch { .. }));
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 200);
}

#[test]
fn hostile_clients_harm_only_themselves() {
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(4);
    send_picture(&writer, 1);
    let mut kept = Vec::new();
    for garbage in [&b""[..], b"x", b"{}", &[0xff; 30_000], br#"{"v":1,"do":"wake"}"#] {
        let client = brokerage.client();
        let _ = send(&client, garbage, SendFlags::NOSIGNAL);
        kept.push(client);
    }
    // Says much and never reads.
    let flood = brokerage.client();
    let request = br#"{"v":1,"do":"open","ring":"cam.frames","part":"anchor"}"#;
    while send(&flood, request, SendFlags::DONTWAIT | SendFlags::NOSIGNAL).is_ok() {}
    // Says nothing, many times.
    let silent: Vec<OwnedFd> = (0..200).map(|_| brokerage.client()).collect();
    let mut reader = brokerage.attach("honest").unwrap();
    send_picture(&writer, 2);
    assert_eq!(pixels(&item(reader.next(SOON).unwrap()))[0], 2);
    // And is let go of.
    let mut nothing = [0; 1];
    for client in silent {
        let ended = matches!(recv(&client, &mut nothing, RecvFlags::empty()), Ok((0, _)) | Err(_));
        assert!(ended);
    }
    drop(kept);
}

#[test]
fn a_window_on_a_slot_of_sealed_memory_can_be_written_and_closed() {
    let brokerage = Brokerage::new();
    let writer = brokerage.frames(1);
    let mut loan = writer.loan(4096, 1).unwrap();
    let window = loan.window().unwrap();
    assert!(window.bytes() >= 4096);
    window.close().unwrap();
}

#[test]
fn a_brokered_ring_without_a_broker_says_what_to_start() {
    let project = Project::new();
    let config = RingConfig { access: Access::Brokered, ..RingConfig::default() };
    let contract = RingContract::new("cam.frames".parse().unwrap(), config, 1);
    let said = FrameWriter::create(&project.0, &contract, None).unwrap_err().to_string();
    assert!(said.contains("framevisor up") && said.contains("FRAMEVISOR_BROKER"), "{said}");
}

#[test]
fn a_client_that_writes_no_ring_can_send_the_broker_no_descriptor() {
    let brokerage = Brokerage::new();
    let client = brokerage.client();
    if !knows_passrights(&client) {
        println!("skipped: this kernel, before 6.16, lets nobody refuse descriptors");
        return;
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [client.as_fd()];
    assert!(control.push(SendAncillaryMessage::ScmRights(&descriptors)));
    let request = br#"{"v":1,"do":"open","ring":"cam.frames","part":"anchor"}"#;
    let sent = sendmsg(&client, &[IoSlice::new(request)], &mut control, SendFlags::NOSIGNAL);
    assert_eq!(sent, Err(rustix::io::Errno::PERM));
    // A writer's come through all the same.
    send_picture(&brokerage.frames(1), 1);
}

fn knows_passrights(socket: &OwnedFd) -> bool {
    const SO_PASSRIGHTS: libc::c_int = 83;
    let (mut value, mut length) = (0, libc::socklen_t::try_from(size_of::<libc::c_int>()).unwrap());
    let value: *mut libc::c_int = &raw mut value;
    // SAFETY: the kernel writes at most `length` bytes, an int, to `value`, and the length.
    let asked = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            SO_PASSRIGHTS,
            value.cast(),
            &raw mut length,
        )
    };
    asked == 0
}
