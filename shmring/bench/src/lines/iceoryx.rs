//! iceoryx2: publish and subscribe over shared memory, and an event to wake the subscriber.

use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU32, Ordering};

use iceoryx2::port::listener::Listener;
use iceoryx2::port::notifier::Notifier;
use iceoryx2::port::publisher::Publisher;
use iceoryx2::port::subscriber::Subscriber;
use iceoryx2::prelude::*;
use iceoryx2::sample_mut::SampleMut;

use super::{Ends, Load, Receiver, Sender};
use crate::Outcome;
use crate::machine::{Touch, run, touch};
use crate::stage::SLICE;

pub(super) fn ends(load: &Load) -> Outcome<Ends<'static>> {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = format!("ringbench/{number}");
    let (for_sender, load) = (name.clone(), *load);
    set_log_level(LogLevel::Fatal);
    Ok(Ends {
        receiver: Box::new(move |_| Ok(Box::new(Subscribed::open(&name, &load)?))),
        sender: Box::new(move || Ok(Box::new(Published::open(&for_sender, &load)?))),
    })
}

struct Published {
    _node: Node<ipc::Service>,
    publisher: Publisher<ipc::Service, [u8], ()>,
    notifier: Notifier<ipc::Service>,
    bytes: usize,
    sample: Option<SampleMut<ipc::Service, [u8], ()>>,
}

fn node() -> Outcome<Node<ipc::Service>> {
    let mut config = Config::global_config().clone();
    config.global.prefix = FileName::new(prefix().as_bytes())?;
    config.global.set_root_path(&Path::new(folder().as_os_str().as_bytes())?);
    Ok(NodeBuilder::new().config(&config).create::<ipc::Service>()?)
}

/// What its files in /dev/shm begin with; some of them stay.
fn prefix() -> String {
    format!("ringbench{}_", run())
}

fn folder() -> PathBuf {
    std::env::temp_dir().join(format!("ringbench{}", run()))
}

/// Takes away what it leaves behind.
pub(crate) fn sweep() {
    let _ = std::fs::remove_dir_all(folder());
    for entry in std::fs::read_dir("/dev/shm").into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(prefix().as_bytes()) {
            let _ = std::fs::remove_file(entry.path());
        }
    }
}

type PubSub =
    iceoryx2::service::port_factory::publish_subscribe::PortFactory<ipc::Service, [u8], ()>;

/// Bounds as our rings have them: sixteen places, two samples held by each.
fn pubsub(node: &Node<ipc::Service>, name: &str, load: &Load) -> Outcome<PubSub> {
    let service = node.service_builder(&ServiceName::new(name)?).publish_subscribe::<[u8]>();
    let service = service.subscriber_max_buffer_size(load.ahead as usize).max_subscribers(16);
    Ok(service.subscriber_max_borrowed_samples(2).open_or_create()?)
}

impl Published {
    fn open(name: &str, load: &Load) -> Outcome<Self> {
        let node = node()?;
        let service = pubsub(&node, name, load)?;
        let publisher = service.publisher_builder().initial_max_slice_len(load.bytes).create()?;
        let event = node.service_builder(&ServiceName::new(name)?).event().open_or_create()?;
        let notifier = event.notifier_builder().create()?;
        Ok(Self { _node: node, publisher, notifier, bytes: load.bytes, sample: None })
    }
}

impl Sender for Published {
    fn prepare(&mut self, content: Option<&[u8]>) -> Outcome<()> {
        let bytes = content.map_or(self.bytes, <[u8]>::len);
        let sample = self.publisher.loan_slice_uninit(bytes)?;
        self.sample = Some(match content {
            Some(content) => sample.write_from_slice(content),
            // SAFETY: the memory is zeroed shared memory or an earlier payload; any byte is a u8.
            None => unsafe { sample.assume_init() },
        });
        Ok(())
    }

    fn send(&mut self) -> Outcome<()> {
        self.sample.take().ok_or("nothing prepared")?.send()?;
        self.notifier.notify()?;
        Ok(())
    }
}

struct Subscribed {
    _node: Node<ipc::Service>,
    subscriber: Subscriber<ipc::Service, [u8], ()>,
    listener: Listener<ipc::Service>,
}

impl Subscribed {
    fn open(name: &str, load: &Load) -> Outcome<Self> {
        let node = node()?;
        let subscriber = pubsub(&node, name, load)?.subscriber_builder().create()?;
        let event = node.service_builder(&ServiceName::new(name)?).event().open_or_create()?;
        let listener = event.listener_builder().create()?;
        Ok(Self { _node: node, subscriber, listener })
    }
}

impl Receiver for Subscribed {
    fn receive(&mut self, how: Touch) -> Outcome<bool> {
        // As our rings do: look first, sleep only when nothing is there.
        let mut sample = self.subscriber.receive()?;
        if sample.is_none() {
            self.listener.timed_wait(|_| {}, SLICE)?;
            sample = self.subscriber.receive()?;
        }
        let taken = sample.is_some();
        if let Some(sample) = sample {
            touch(sample.payload(), how);
        }
        Ok(taken)
    }
}
