//! Writing a ring: taking it, filling slots, appending packets and records.

use std::ffi::{c_char, c_int};
use std::sync::{Mutex, MutexGuard, PoisonError};

use protocol::config::RingConfig;
use protocol::control::RingContract;
use protocol::name::{RingKind, RingName};
use protocol::units::BitRate;
use shmring::fork::Birth;
use shmring::{FrameWriter, PacketWriter, RecordWriter, clock, project};

use crate::abi::{Frame, Packet, Record, Track, WriterOptions, status};
use crate::draft;
use crate::error::{Error, answer, pointer, quietly};
use crate::handle::{self, Handle};
use crate::input;
use crate::wish::program_name;

/// Readers a ring made here has places for unless told: nobody knows who will read it.
const PLACES: u32 = 8;
/// One slot being filled while the one before is on its way.
const LOANS: u32 = 2;

/// The one writer of a ring.
#[derive(Debug)]
pub struct Writer {
    birth: Birth,
    ring: RingName,
    body: Body,
}

#[derive(Debug)]
enum Body {
    Frames { writer: FrameWriter, loans: u32, source: Option<RingName> },
    Packets(Mutex<Packets>),
    Records(Mutex<Records>),
}

#[derive(Debug)]
struct Packets {
    writer: PacketWriter,
    tracks: u32,
}

#[derive(Debug)]
struct Records {
    writer: RecordWriter,
    emitted: u64,
}

/// A slot in C's hands.
#[derive(Debug)]
pub struct Loan {
    birth: Birth,
    loan: shmring::Loan,
    /// The slot's memory, asked for once: from then on it is C's until the loan ends.
    data: *mut u8,
    bytes: usize,
    writer: FrameWriter,
    source: Option<RingName>,
}

impl Handle for Writer {
    const WHAT: &'static str = "writer";

    fn birth(&self) -> Birth {
        self.birth
    }
}

impl Handle for Loan {
    const WHAT: &'static str = "loan";

    fn birth(&self) -> Birth {
        self.birth
    }
}

/// # Safety
/// As in the header: texts and options readable, `writer` a place for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_create(
    project: *const c_char,
    ring: *const c_char,
    options: *const WriterOptions,
    writer: *mut *mut Writer,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let place = unsafe { input::place("writer", writer) }?;
        place.write(std::ptr::null_mut());
        // SAFETY: by the caller's word.
        let project = unsafe { input::text("project", project) }?;
        // SAFETY: by the caller's word.
        let ring: RingName = match unsafe { input::text("ring", ring) }? {
            Some(ring) => ring.parse()?,
            None => project::own_events(&program_name())?,
        };
        // SAFETY: by the caller's word.
        let wish = unsafe { Wish::of(options) }?;
        place.write(handle::give(create(project, ring, &wish)?));
        Ok(status::OK)
    })
}

/// What the options mean.
struct Wish {
    places: u32,
    config: RingConfig,
    loans: u32,
    source: Option<RingName>,
    tracks: Vec<protocol::stream::Track>,
}

impl Wish {
    /// # Safety
    /// NULL or readable options, with readable texts and tracks.
    unsafe fn of(options: *const WriterOptions) -> Result<Self, Error> {
        let default = RingConfig::default();
        if options.is_null() {
            let tracks = Vec::new();
            return Ok(Self {
                places: PLACES,
                config: default,
                loans: LOANS,
                source: None,
                tracks,
            });
        }
        // SAFETY: not NULL, and a struct with its size by the caller's word.
        let options = unsafe { input::sized(options) }?;
        // SAFETY: by the caller's word.
        let source = unsafe { input::text("options.source", options.source) }?;
        // SAFETY: by the caller's word.
        let tracks =
            unsafe { input::slice("options.tracks", options.tracks, options.track_count.into()) }?;
        let or = |value: u32, default: u32| if value == 0 { default } else { value };
        let max_bitrate = match options.max_bitrate {
            0 => default.max_bitrate,
            bits => BitRate(bits),
        };
        let history = or(options.history, default.history);
        Ok(Self {
            places: or(options.readers, PLACES),
            config: RingConfig { history, max_bitrate, ..default },
            loans: or(options.loans, LOANS),
            source: source.map(str::parse).transpose()?,
            // SAFETY: by the caller's word.
            tracks: unsafe { draft::tracks(tracks) }?,
        })
    }
}

fn create(project: Option<&str>, ring: RingName, wish: &Wish) -> Result<Writer, Error> {
    let project = project::any(project, &ring)?;
    let contract = RingContract::new(ring.clone(), wish.config, wish.places);
    let contract = project::as_told(contract);
    let body = match ring.kind() {
        RingKind::Frames => Body::Frames {
            writer: FrameWriter::create(&project, &contract, wish.source.as_ref())?,
            loans: wish.loans,
            source: wish.source.clone(),
        },
        RingKind::Packets => Body::Packets(Mutex::new(Packets {
            writer: PacketWriter::create(&project, &contract, &wish.tracks)?,
            tracks: count(&wish.tracks),
        })),
        RingKind::Events => Body::Records(Mutex::new(Records {
            writer: RecordWriter::create(&project, &contract)?,
            emitted: 0,
        })),
    };
    Ok(Writer { birth: Birth::here(), ring, body })
}

fn count(tracks: &[protocol::stream::Track]) -> u32 {
    u32::try_from(tracks.len()).unwrap_or(u32::MAX)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Writer {
    fn packets(&self) -> Result<MutexGuard<'_, Packets>, Error> {
        match &self.body {
            Body::Packets(packets) => Ok(lock(packets)),
            _ => Err(self.is_no("packets")),
        }
    }

    fn is_no(&self, expected: &'static str) -> Error {
        Error::RingKind { ring: self.ring.clone(), seen: self.ring.kind().as_str(), expected }
    }
}

/// # Safety
/// As in the header: `writer` NULL or created.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_finish(writer: *mut Writer) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let writer = unsafe { handle::look(writer) }?;
        match &writer.body {
            Body::Frames { writer, .. } => writer.finish(),
            Body::Packets(packets) => lock(packets).writer.finish(),
            Body::Records(records) => lock(records).writer.finish(),
        }
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `writer` NULL or created, not closed before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_close(writer: *mut Writer) {
    // SAFETY: by the caller's word.
    quietly(|| unsafe { handle::end(writer) });
}

/// # Safety
/// As in the header: `frame` NULL or a struct with its size, the caller's alone.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_layout(frame: *mut Frame) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let mut whole = unsafe { input::sized(frame.cast_const()) }?;
        draft::lay_out(&mut whole)?;
        let known = size_of::<Frame>().min(whole.size as usize);
        // SAFETY: `sized` found as many bytes there, which are the caller's alone by its word.
        unsafe {
            std::ptr::copy_nonoverlapping((&raw const whole).cast(), frame.cast::<u8>(), known)
        };
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `writer` NULL or created, `loan` a place for the answer.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_borrow(
    writer: *mut Writer,
    slot_bytes: u64,
    loan: *mut *mut Loan,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let place = unsafe { input::place("loan", loan) }?;
        place.write(std::ptr::null_mut());
        // SAFETY: by the caller's word.
        let writer = unsafe { handle::look(writer) }?;
        place.write(handle::give(writer.borrow(slot_bytes)?));
        Ok(status::OK)
    })
}

impl Writer {
    fn borrow(&self, slot_bytes: u64) -> Result<Loan, Error> {
        let Body::Frames { writer, loans, source } = &self.body else {
            return Err(self.is_no("frames"));
        };
        let slot_bytes = usize::try_from(slot_bytes).unwrap_or(usize::MAX);
        let mut loan = writer.loan(slot_bytes, *loans)?;
        let memory = loan.bytes_mut();
        let (data, bytes) = (memory.as_mut_ptr(), memory.len());
        let (writer, source) = (writer.clone(), source.clone());
        Ok(Loan { birth: Birth::here(), loan, data, bytes, writer, source })
    }
}

/// # Safety
/// As in the header: `loan` NULL or borrowed, `bytes` NULL or a place for a length.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_loan_data(loan: *mut Loan, bytes: *mut u64) -> *mut u8 {
    pointer(|| {
        // SAFETY: by the caller's word.
        let loan = unsafe { handle::look(loan) }?;
        // SAFETY: by the caller's word.
        unsafe { input::put(bytes, 0, loan.bytes as u64) };
        Ok(loan.data)
    })
}

/// # Safety
/// As in the header: `loan` NULL or borrowed, `frame` NULL or a struct with its size, `sequence` NULL or
/// a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_publish(
    loan: *mut Loan,
    frame: *const Frame,
    sequence: *mut u64,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let loan = unsafe { handle::take(loan) }?;
        // SAFETY: by the caller's word.
        let frame = unsafe { input::sized(frame) }?;
        let meta = draft::frame_meta(&frame, loan.source.as_ref(), clock::now())?;
        let published = loan.writer.publish(loan.loan.slot(), &meta)?;
        // SAFETY: by the caller's word.
        unsafe { input::put(sequence, 0, published) };
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `loan` NULL or borrowed, not ended before.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_return(loan: *mut Loan) {
    // SAFETY: by the caller's word.
    quietly(|| unsafe { handle::end(loan) });
}

/// # Safety
/// As in the header: `writer` NULL or created, `packet` NULL or a struct with its size and readable data,
/// `sequence` NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_publish_packet(
    writer: *mut Writer,
    packet: *const Packet,
    sequence: *mut u64,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let writer = unsafe { handle::look(writer) }?;
        // SAFETY: by the caller's word.
        let packet = unsafe { input::sized(packet) }?;
        // SAFETY: by the caller's word.
        let payload = unsafe { input::slice("packet.data", packet.data, packet.bytes) }?;
        let mut packets = writer.packets()?;
        let meta = draft::packet_meta(&packet, packets.tracks, clock::now())?;
        let published = packets.writer.publish(&meta, payload)?;
        // SAFETY: by the caller's word.
        unsafe { input::put(sequence, 0, published) };
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `writer` NULL or created, `tracks` that many readable tracks.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_set_tracks(
    writer: *mut Writer,
    tracks: *const Track,
    count: u32,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let writer = unsafe { handle::look(writer) }?;
        // SAFETY: by the caller's word.
        let tracks = unsafe { input::slice("tracks", tracks, count.into()) }?;
        // SAFETY: by the caller's word.
        let tracks = unsafe { draft::tracks(tracks) }?;
        let mut packets = writer.packets()?;
        packets.writer.set_tracks(&tracks)?;
        packets.tracks = count;
        Ok(status::OK)
    })
}

/// # Safety
/// As in the header: `writer` NULL or created, `record` NULL or a struct with its size and readable texts,
/// `sequence` NULL or a place for a number.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn shmring_emit(
    writer: *mut Writer,
    record: *const Record,
    sequence: *mut u64,
) -> c_int {
    answer(|| {
        // SAFETY: by the caller's word.
        let writer = unsafe { handle::look(writer) }?;
        let Body::Records(records) = &writer.body else {
            return Err(writer.is_no("events"));
        };
        // SAFETY: by the caller's word.
        let record = unsafe { input::sized(record) }?;
        // SAFETY: by the caller's word.
        let mut record = unsafe { draft::record(&record, clock::now()) }?;
        let mut records = lock(records);
        records.emitted += 1;
        if record.id.is_empty() {
            record.id = format!("{}-{}", std::process::id(), records.emitted);
        }
        let emitted = records.writer.emit(&record)?;
        // SAFETY: by the caller's word.
        unsafe { input::put(sequence, 0, emitted) };
        Ok(status::OK)
    })
}
