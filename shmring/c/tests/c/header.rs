//! The header says what the library does: its words against the Rust sources, and against compilers.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::mem::{offset_of, size_of};
use std::path::Path;
use std::process::Command;

use protocol::stream::{Codec, DType, PixelFormat};
use protocol::time::ClockSource;
use shmring_c::abi::{self, condition, content, flag, policy, start, status};

use crate::tools::{STRICT, flags, text};

fn header() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("include/shmring.h")).unwrap()
}

/// Names of all functions.
pub(crate) fn functions() -> BTreeSet<String> {
    functions_of(&header())
}

/// Names of all errors.
pub(crate) fn errors() -> Vec<String> {
    numbers_of(&header()).into_keys().filter(|name| name.starts_with("SHMRING_E_")).collect()
}

/// Compiles `source` without linking it.
fn check(name: &str, compiler: &str, options: &[&str], source: &str) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join(name);
    fs::write(&file, source).unwrap();
    let mut command = Command::new(compiler);
    command.args(options).args(STRICT).arg("-fsyntax-only").arg(&file).args(flags());
    text(command.output().unwrap());
}

#[test]
fn the_headers_compile_alone_without_a_warning() {
    let c = "#include <shmring.h>\n#include <shmring.h>\nint main(void) { return 0; }\n";
    check("alone.c", "cc", &["-std=c11"], c);
    check("alone.c", "cc", &["-std=c99"], c);
    check("alone.cpp", "c++", &["-std=c++17"], &c.replace("(void)", "()"));
    let cpp = "#include <shmring.hpp>\n#include <shmring.hpp>\nint main() { return 0; }\n";
    check("alone.cpp", "c++", &["-std=c++17"], cpp);
    check("alone.cpp", "c++", &["-std=c++20"], cpp);
}

/// Assertions in C of the size and place of every field; one left out here does not compile.
macro_rules! layout {
    ($c:literal, $rust:ident { $($field:ident),* $(,)? }) => {{
        let _ = |value: abi::$rust| { let abi::$rust { $($field: _),* } = value; };
        let mut lines = same(&format!("sizeof(struct {})", $c), size_of::<abi::$rust>());
        $(
            // The only word that is taken in Rust.
            let name = if stringify!($field) == "kind" { "type" } else { stringify!($field) };
            let bytes = field_bytes(|value: &abi::$rust| &value.$field);
            lines += &same(&format!("offsetof(struct {}, {name})", $c), offset_of!(abi::$rust, $field));
            lines += &same(&format!("sizeof(((struct {} *)0)->{name})", $c), bytes);
        )*
        lines
    }};
}

fn same(c: &str, rust: usize) -> String {
    format!("_Static_assert({c} == {rust}, \"{c} is {rust} in Rust\");\n")
}

fn field_bytes<T, F>(_: fn(&T) -> &F) -> usize {
    size_of::<F>()
}

#[test]
fn every_field_lies_where_the_library_looks_for_it() {
    let assertions = [
        layout!("shmring_frame_id", FrameId { ring, epoch, sequence }),
        layout!(
            "shmring_attach_options",
            AttachOptions {
                size,
                policy,
                reader,
                wait_ns,
                quota,
                max_fps,
                every,
                start,
                after_epoch,
                after_sequence,
                key_only,
                messages,
            }
        ),
        layout!(
            "shmring_news",
            News {
                item,
                epoch,
                missed,
                format_changed,
                reserved,
                message,
                data_json,
                more_reserved,
                reason,
            }
        ),
        layout!("shmring_tensor", Tensor { data, offset, bytes, dtype, axes, shape, strides }),
        layout!("shmring_plane", Plane { data, offset, linesize, row_bytes, rows }),
        layout!(
            "shmring_frame",
            Frame {
                size,
                flags,
                epoch,
                sequence,
                id,
                width,
                height,
                format,
                plane_count,
                planes,
                tensor,
                slot_bytes,
                content,
                reserved,
                colour_range,
                colour_matrix,
                colour_primaries,
                colour_transfer,
                clock,
                pts_ns,
                duration_ns,
                capture_mono_ns,
                capture_utc_ns,
                ingest_mono_ns,
                decoded_mono_ns,
                published_mono_ns,
                gop_index,
                user,
            }
        ),
        layout!(
            "shmring_track",
            Track {
                codec,
                time_base_num,
                time_base_den,
                width,
                height,
                sample_rate_hz,
                channels,
                frame_rate_num,
                frame_rate_den,
                reserved,
                extradata,
                extradata_bytes,
            }
        ),
        layout!(
            "shmring_packet",
            Packet {
                size,
                flags,
                epoch,
                sequence,
                id,
                data,
                bytes,
                track,
                track_count,
                tracks,
                track_info,
                pts_ns,
                dts_ns,
                duration_ns,
                capture_mono_ns,
                capture_utc_ns,
                ingest_mono_ns,
                published_mono_ns,
                gop_index,
                clock,
                reserved,
            }
        ),
        layout!(
            "shmring_record",
            Record {
                size,
                reserved,
                epoch,
                sequence,
                json,
                id,
                kind,
                camera,
                data_json,
                frame,
                time_utc_ns,
                published_mono_ns,
            }
        ),
        layout!(
            "shmring_writer_options",
            WriterOptions {
                size,
                readers,
                history,
                loans,
                source,
                max_bitrate,
                tracks,
                track_count,
                reserved,
            }
        ),
    ];
    let source = format!("#include <shmring.h>\n{}", assertions.concat());
    check("layout.c", "cc", &["-std=c11"], &source);
    let structs = without_comments(&header()).matches("\nstruct shmring_").count();
    assert_eq!(structs, assertions.len(), "a struct of the header is not compared");
}

#[test]
fn every_number_of_the_header_is_the_librarys() {
    let mut numbers: BTreeMap<String, i64> = status::ALL
        .iter()
        .map(|(number, name)| (name.to_str().unwrap().into(), (*number).into()))
        .collect();
    let formats = PixelFormat::ALL.map(|format| (format.as_str().to_uppercase(), format as i64));
    let types = DType::ALL.map(|dtype| (dtype.as_str().to_uppercase(), dtype as i64));
    let codecs = Codec::ALL.map(|codec| (codec_name(codec).to_owned(), codec as i64));
    numbers.extend(
        formats
            .into_iter()
            .chain(types)
            .chain(codecs)
            .map(|(name, code)| (format!("SHMRING_{name}"), code)),
    );
    let others: [(&str, i64); 23] = [
        ("POLICY_DEFAULT", policy::DEFAULT.into()),
        ("PICTURE", content::PICTURE.into()),
        ("TENSOR", content::TENSOR.into()),
        ("ABI_MAJOR", abi::ABI_MAJOR.into()),
        ("ABI_MINOR", abi::ABI_MINOR.into()),
        ("KEY", flag::KEY.into()),
        ("CORRUPT", flag::CORRUPT.into()),
        ("DISCONTINUITY", flag::DISCONTINUITY.into()),
        ("COPIED", flag::COPIED.into()),
        ("CLOCK_ARRIVAL", ClockSource::Arrival as i64),
        ("CLOCK_CAMERA", ClockSource::Camera as i64),
        ("LATEST", policy::LATEST.into()),
        ("SEQUENTIAL", policy::SEQUENTIAL.into()),
        ("FLOWING", condition::FLOWING.into()),
        ("WAITING", condition::WAITING.into()),
        ("DEGRADED", condition::DEGRADED.into()),
        ("PARKED", condition::PARKED.into()),
        ("START_DEFAULT", start::DEFAULT.into()),
        ("START_NEWEST", start::NEWEST.into()),
        ("START_NEWEST_KEY", start::NEWEST_KEY.into()),
        ("START_OLDEST", start::OLDEST.into()),
        ("START_AFTER", start::AFTER.into()),
        ("FOREVER", -1),
    ];
    numbers.extend(others.map(|(name, number)| (format!("SHMRING_{name}"), number)));
    assert_eq!(numbers_of(&header()), numbers);
}

fn codec_name(codec: Codec) -> &'static str {
    match codec {
        Codec::H264 => "H264",
        Codec::H265 => "H265",
        Codec::Av1 => "AV1",
        Codec::Mjpeg => "MJPEG",
        Codec::Vp8 => "VP8",
        Codec::Vp9 => "VP9",
        Codec::Mpeg4 => "MPEG4",
        Codec::Aac => "AAC",
        Codec::Opus => "OPUS",
        Codec::PcmMulaw => "PCM_MULAW",
        Codec::PcmAlaw => "PCM_ALAW",
        Codec::PcmS16le => "PCM_S16LE",
        Codec::G722 => "G722",
    }
}

/// The enumerators and defined numbers of the header.
fn numbers_of(header: &str) -> BTreeMap<String, i64> {
    let text = without_comments(header);
    let lines = text.lines().map(str::trim);
    let pairs = lines.filter_map(|line| match line.strip_prefix("#define ") {
        Some(definition) => definition.split_once(' '),
        None => line.trim_end_matches(',').split_once(" = "),
    });
    let number = |text: &str| text.trim_start_matches("((int64_t)").trim_end_matches(')').parse();
    let numbers = pairs.filter_map(|(name, text)| Some((name, number(text.trim()).ok()?)));
    numbers
        .filter(|(name, _)| name.starts_with("SHMRING_"))
        .map(|(name, n)| (name.into(), n))
        .collect()
}

fn without_comments(header: &str) -> String {
    let mut parts = header.split("/*");
    let first = parts.next().unwrap().to_owned();
    parts.fold(first, |text, part| text + part.split_once("*/").unwrap().1)
}

/// The functions of the Rust sources as C declares them.
fn prototypes() -> String {
    let names = [
        ("FrameId", "shmring_frame_id"),
        ("AttachOptions", "shmring_attach_options"),
        ("News", "shmring_news"),
        ("Frame", "shmring_frame"),
        ("Track", "shmring_track"),
        ("Packet", "shmring_packet"),
        ("Record", "shmring_record"),
        ("WriterOptions", "shmring_writer_options"),
        ("Reader", "shmring_reader"),
        ("Item", "shmring_item"),
        ("Writer", "shmring_writer"),
        ("Loan", "shmring_loan"),
    ];
    let mut config = cbindgen::Config {
        language: cbindgen::Language::C,
        style: cbindgen::Style::Tag,
        no_includes: true,
        ..cbindgen::Config::default()
    };
    config.export.item_types = vec![cbindgen::ItemType::Functions];
    config.export.rename = names.map(|(rust, c)| (rust.into(), c.into())).into();
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in fs::read_dir(sources).unwrap() {
        builder = builder.with_src(source.unwrap().path());
    }
    let mut text = Vec::new();
    builder.generate().unwrap().write(&mut text);
    String::from_utf8(text).unwrap()
}

/// Names of all functions in C declarations.
fn functions_of(declarations: &str) -> BTreeSet<String> {
    let text = without_comments(declarations);
    let before_bracket = text.split('(').map(|part| part.rsplit([' ', '*', '\n']).next().unwrap());
    let ours = before_bracket.filter(|name| name.starts_with("shmring_"));
    ours.map(str::to_owned).collect()
}

#[test]
fn a_compiler_finds_no_conflict_between_the_header_and_the_sources() {
    let prototypes = prototypes();
    assert_eq!(functions_of(&header()), functions_of(&prototypes));
    check("prototypes.c", "cc", &["-std=c11"], &format!("#include <shmring.h>\n{prototypes}"));
}

#[test]
fn the_library_exports_what_the_header_declares_and_nothing_else() {
    let path = flags().iter().find_map(|flag| flag.strip_prefix("-L")).unwrap();
    let library = Path::new(path).join("libshmring.so");
    let mut nm = Command::new("nm");
    nm.args(["--dynamic", "--defined-only", "--format=just-symbols"]).arg(&library);
    let exported: BTreeSet<String> =
        text(nm.output().unwrap()).lines().map(str::to_owned).collect();
    assert_eq!(exported, functions_of(&header()));

    let mut readelf = Command::new("readelf");
    let dynamic = text(readelf.arg("--dynamic").arg(&library).output().unwrap());
    let soname = format!("[libshmring.so.{}]", abi::ABI_MAJOR);
    assert!(dynamic.contains(&soname), "{dynamic}");
}
