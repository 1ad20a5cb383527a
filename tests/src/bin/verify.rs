//! `scripts/verify NAME`: runs what is promised for real and prints what they showed.
#![forbid(unsafe_code)]
#![expect(clippy::print_stderr, reason = "a command speaks to people")]

use std::process::ExitCode;

use clap::{Parser, ValueEnum};
use protocol::units::Size;
use tests::Failure;
use tests::checks::{
    analysis, chain, clean, cycles, deaths, decode_cost, drills, errors, evil, exits, faults,
    hangs, index, ingest_cases, ingest_lines, kills, many, mutated, order, pages, python,
    recording, rings, rtsp_clients, rtsp_onvif, rtsp_players, rtsp_units, scripts, sources,
    storage, succession, transports, uploading, web_rows,
};
use tests::report::{Check, Report};
use tests::viewer::Over;

/// Proves on this machine what is promised, in at most ten minutes.
#[derive(Debug, Parser)]
#[command(name = "scripts/verify")]
struct Options {
    name: Name,
    /// Exit 1 also when only a speed target is missed.
    #[arg(long)]
    strict: bool,
    /// Seed of the kill times; printed, so that a run can be repeated.
    #[arg(long, default_value_t = 20_261_120)]
    seed: u64,
    /// Rows whose names begin so, and no others: to look at one that failed once more.
    #[arg(long, value_name = "ROW", default_value = "")]
    only: String,
    /// Of `web`: how long eight viewers watch over three workers.
    #[arg(long, default_value_t = 60)]
    seconds: u64,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Name {
    /// Programs of one's own: written, run, harmful, listening, tried beside others, pushing pictures.
    Analysis,
    /// The whole pipeline on real input.
    FirstLight,
    /// What is recorded: kills, disks that fill up, fail, hang or are gone, power cuts, retention.
    Recording,
    /// The rings: kills, wake-ups, trust, C and Python.
    Rings,
    /// What is served over RTSP: every client by every transport, byte for byte, through kills and hostile ones.
    Rtsp,
    /// Pictures from cameras that do harm or are not well, over bad lines, and what is made of them.
    Sources,
    /// Processes: deaths, hangs, stops, and what becomes of capture meanwhile.
    Supervision,
    /// What browsers and players get: each picture by each way and how late it is, many viewers, dead workers, the pages.
    Web,
}

fn main() -> ExitCode {
    let options = Options::parse();
    let mut report = Report::of_rows(&options.only);
    match options.name {
        Name::Analysis => analysis::promises(&mut report),
        Name::FirstLight => first_light(&mut report, options.seed),
        Name::Recording => all_about_recording(&mut report, options.seed),
        Name::Rings => all_about_rings(&mut report, options.seed),
        Name::Rtsp => all_about_rtsp(&mut report, options.seed),
        Name::Sources => all_about_sources(&mut report, options.seed),
        Name::Supervision => supervision(&mut report, options.seed),
        Name::Web => web_rows::promises(&mut report, options.seconds, options.seed),
    }
    if let Err(error) = report.print() {
        eprintln!("verify: {error}");
        return ExitCode::FAILURE;
    }
    let passed = report.is_ok() && (report.targets_met() || !options.strict);
    if passed { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn first_light(report: &mut Report, seed: u64) {
    report.promise("clean_run", || clean::nothing_is_lost(20));
    report.promise("file_source", || clean::a_file_is_a_camera(20));
    report.promise("rtsp", || clean::rtsp_is_exact(5));
    report.promise("page", pages::the_picture_on_the_page_advances);
    let kills = report.promise("kills_motion_decoder_rtsp_web", || {
        let victims = [("motion", 30), ("cam1-decoder", 30), ("rtsp", 30), ("web", 30)];
        kills::recording_survives(&victims, seed)
    });
    report.target_below("kill_to_ready_ms_p50", &kills["kill_to_ready_ms_p50"], 200.0);
    report.promise("kills_recorder", || kills::recording_survives(&[("recorder", 10)], seed));
    let killed =
        report.promise("supervisor_killed", || kills::the_supervisor_takes_all_with_it(10));
    report.target_below("all_ended_ms", &killed["all_ended_ms"], 1000.0);
    report.promise("default_policy_holds", exits::who_ends_again_and_again_is_held);
    report.promise("python", || python::arrays_equal_what_ffmpeg_decodes(100));
    report.promise("errors", errors::every_row_says_what_where_and_what_to_do);
}

fn all_about_rings(report: &mut Report, seed: u64) {
    let torture = report.promise("torture", || rings::torture(75, seed));
    report.target_at_least("torture_readers_killed", &torture["readers_killed"], 1000.0);
    report.target_at_least("torture_writers_killed", &torture["writers_killed"], 200.0);
    report.promise("sabotage", || rings::sabotage_is_noticed(seed));
    let bench = report.promise("bench", rings::bench);
    report.target_met("bench_targets", &bench["targets_met"]);
    report.promise("zero_copies", || python::arrays_equal_what_ffmpeg_decodes(50));
    report.promise("hoarder", rings::a_hoarder_stops_nobody);
    report.promise("essential", || rings::named_tests("shmring", "ring", &["essential::"]));
    let trust = ["group::", "brokered::", "hostile::", "shortage::"];
    report.promise("trust", || rings::named_tests("shmring", "ring", &trust));
    report.promise("python", || rings::named_tests("shmring-python", "python", &[]));
    report.promise("c", || rings::named_tests("shmring-c", "c", &[]));
}

fn all_about_recording(report: &mut Report, seed: u64) {
    report.side_by_side([
        ("d1_files_follow_on", Box::new(|| recording::files_follow_on(60, 10))),
        ("store_down_60s", Box::new(|| uploading::the_store_is_away(60))),
        (
            "recorder_killed",
            Box::new(move || recording::the_recorder_is_killed_again_and_again(40, seed)),
        ),
        (
            "uploader_killed",
            Box::new(move || uploading::the_uploader_is_killed_again_and_again(30, seed)),
        ),
    ]);
    report.promise("d2_disk_full", || storage::a_disk_fills_up_and_is_freed(4, seed));
    report.promise("disk_slow", || storage::a_disk_hangs(6));
    report.promise("disk_failing", || storage::a_disk_fails_now_and_then(6, seed));
    report.promise("disk_unmounted", storage::a_disk_is_unmounted_and_comes_back);
    report.promise("index_lost", index::an_index_that_is_lost_comes_back);
    let cuts = report.promise("power_cuts", || recording::power_cuts(20));
    tell_of_cuts(report, &cuts);
    for (row, names) in [
        ("retention", &["retention::"][..]),
        ("wrong_disk_and_slow_sync", &["disk::", "failing::"]),
        ("kills_without_media", &["kills::", "steady::"]),
        ("looked_after", &["recordings::", "dump::"]),
        ("index", &["index::"]),
        ("pre_roll_rules_and_commands", &["when::"]),
    ] {
        report.promise(row, || rings::named_tests("recorder", "recording", names));
    }
    report.promise("mp4", || rings::named_tests("fmp4", "play", &[]));
    report.promise("mp4_of_any_bytes", || rings::named_tests("fmp4", "properties", &[]));
    let of_the_system = |names: &'static [&'static str]| -> Check<'static> {
        Box::new(move || rings::named_tests("tests", "system", names))
    };
    report.side_by_side([
        ("on_demand_from_outside", of_the_system(&["recording_on_demand::"])),
        ("exports", of_the_system(&["exports::"])),
        ("codecs", of_the_system(&["codecs::"])),
        ("uploads_and_webhooks", of_the_system(&["uploads::"])),
        ("rules", of_the_system(&["rules::"])),
        ("d3_playback", of_the_system(&["playback::"])),
    ]);
    report.promise("camera_clock", || rings::named_tests("tests", "system", &["camera_clock::"]));
    report.promise("full_without_a_disk_of_its_own", || {
        rings::named_tests("tests", "system", &["disk_full::"])
    });
    report.promise("playback_of_hostile_requests", || {
        rings::named_tests("web", "playback", &["a_", "ten_", "the_", "what_", "where_", "no_"])
    });
}

fn all_about_rtsp(report: &mut Report, seed: u64) {
    clients_and_transports(report);
    report.promise("units_tcp", || rtsp_units::are_the_sources(Over::Tcp, 60));
    report.promise("units_udp", || rtsp_units::are_the_sources(Over::Udp, 60));
    let kills = report.promise("kills", || rtsp_units::through_kills(10, seed));
    report.target_below("back_ms_p50", &kills["back_ms_p50"], 200.0);
    report.promise("late_joins", || rtsp_units::of_late_viewers(50, 250, seed));
    report.promise("found_by_discover", rtsp_onvif::discover_finds_the_cameras);
    report.promise("found_by_library", rtsp_onvif::a_client_library_finds_them);
    for (row, package, program, names) in TESTS_OF_RTSP {
        report.promise(row, || rings::named_tests(package, program, names));
    }
}

/// A row for each client; nothing else runs beside, for they decode.
fn clients_and_transports(report: &mut Report) {
    let mut site = None;
    for player in &rtsp_players::PLAYERS {
        report.promise(rtsp_clients::row_name(player), || {
            if site.is_none() {
                site = Some(rtsp_clients::Site::open()?);
            }
            let opened = site.as_ref().ok_or_else(|| Failure::new("no server"))?;
            opened.row(player, &rtsp_clients::COLUMNS)
        });
    }
}

/// Promises about RTSP that are tests of their own: row, package, test program, names.
const TESTS_OF_RTSP: [(&str, &str, &str, &[&str]); 4] = [
    ("answers_by_the_book", "rtsp", "every_answer_is_by_the_book", &[]),
    ("viewers", "rtsp", "viewers", &[]),
    ("any_bytes", "rtsp", "targets", &[]),
    ("cases_of_viewing", "tests", "system", &["rtsp::"]),
];

fn all_about_sources(report: &mut Report, seed: u64) {
    cameras_and_lines(report, seed);
    cases_of_ingest(report, seed);
    decode_cost::promises(report, 3, 4);
    // Of each of six codecs.
    report.promise("mutated_streams", || mutated::streams(34, seed));
    for (row, package, program, names) in TESTS_OF_SOURCES {
        report.promise(row, || rings::named_tests(package, program, names));
    }
}

/// Promises about sources that are tests of their own: row, package, test program (or `bin NAME`), names.
const TESTS_OF_SOURCES: [(&str, &str, &str, &[&str]); 10] = [
    ("evil_server_and_quirks", "ingest", "bin framevisor-ingest", &["camera::"]),
    ("rtsp_of_any_bytes", "ingest", "bin framevisor-ingest", &["rtsp::"]),
    ("commands_by_stdout", "tests", "system", &["pipes::"]),
    ("encode_and_hardware_fall_back", "tests", "system", &["encoding::"]),
    ("outputs_and_hardware_fall_back", "tests", "system", &["decoding::"]),
    ("composed_as_ffmpeg_does", "tests", "system", &["composing::"]),
    ("mixed_with_gains", "tests", "system", &["mixing::"]),
    ("published", "tests", "system", &["publishing::"]),
    ("probed_and_on_demand", "tests", "system", &["sources::a_source_is_probed"]),
    ("i7_conformance_streams", "decoder", "bin framevisor-decoder", &["conformance::"]),
];

/// Cases I1 to I6 of `docs/sources.md`, which mostly wait.
fn cases_of_ingest(report: &mut Report, seed: u64) {
    let [_, refused, gone, link, four, _] = report.side_by_side([
        ("i1_camera_of_each_codec", Box::new(|| ingest_cases::a_camera_of_each_codec(60))),
        ("i2_wrong_password", Box::new(|| ingest_cases::a_wrong_password_is_told(40))),
        ("i3_camera_gone_10s", Box::new(|| ingest_lines::a_camera_that_was_gone_is_back(10))),
        (
            "i4_tcp_loss_2_percent",
            Box::new(move || ingest_lines::a_tcp_link_that_loses(30, 20, seed)),
        ),
        ("i5_four_cameras", Box::new(|| ingest_lines::four_cameras_show_the_same(60))),
        ("i6_source_of_each_kind", Box::new(|| ingest_cases::a_source_of_each_kind(20))),
    ]);
    report.target_below("i2_told_s", &refused["told_s"], 5.0);
    report.target_below("i3_back_ms", &gone["back_ms"], 5000.0);
    report.target_below("i4_late_ms_most", &link["late_ms_most"], 1000.0);
    report.target_below("i5_ids_apart_most", &four["ids_apart_most"], 3.0);
}

fn cameras_and_lines(report: &mut Report, seed: u64) {
    let evil = report.promise("evil_cameras", evil::cameras_that_do_harm);
    report.target_below("stall_told_s", &evil["told_s_worst"], 10.0);
    report.target_below("back_ms", &evil["back_ms_worst"], 1000.0);
    let size = Size { width: 1280, height: 720 };
    let chain = report.promise("raw_command_chain", || chain::of_raw_pictures(size, 20, 10));
    let p50 = &chain["capture_to_rtsp"]["p50_ms"];
    report.target_below("capture_to_rtsp_p50_ms", p50, chain::LATENCY_MS);
    report.promise("udp_loss_2_percent", || sources::losses_reach_no_analyzer(20, 20, seed));
    let reported = report.promise("set_with_reports", || sources::live_sets(250, false, seed));
    report.target_below("set_apart_ms_with_reports", &reported["apart_ms_p95"], 40.0);
    let unreported = report.promise("set_without_reports", || sources::live_sets(250, true, seed));
    report.target_below("set_apart_ms_without_reports", &unreported["apart_ms_p95"], 100.0);
    report.promise("picture_health", sources::pictures_that_are_not_well_are_told);
    report.promise("transports", transports::each_brings_every_picture);
    report.promise("main_and_sub_stream", sources::main_and_sub_are_one_camera);
}

/// How much of a fragment and the time between syncs was lost at most; nothing where no disk can be cut.
fn tell_of_cuts(report: &mut Report, cuts: &serde_json::Value) {
    if let Some(allowed) = cuts["allowed_packets"].as_f64() {
        report.target_below("power_cut_lost_packets", &cuts["worst_lost_packets"], allowed + 1.0);
    }
}

/// The workers of `two_cameras` that can stand still while a camera goes on.
const MAY_STOP: [&str; 6] = ["motion", "cam1-decoder", "recorder", "rtsp", "web", "cam2"];

/// What is timed runs alone; what mostly waits, or is only counted, runs side by side.
fn supervision(report: &mut Report, seed: u64) {
    drills_of_kills(report, seed);
    deaths_of_workers(report, seed);
    ends_of_supervisors(report);
    hangs_and_stops(report, seed);
    report.promise("sixteen", scripts::sixteen_cameras_come_and_go);
    many_cameras(report);
    tests_of_the_surface(report);
}

fn drills_of_kills(report: &mut Report, seed: u64) {
    let drill = report.promise("drill", || drills::the_demo_survives_kills(seed, 5));
    report.target_met("drill_targets", &drill["targets_met"]);
    let python = report.promise("drill_python", || {
        drills::a_python_program_is_killed(seed, 10).and_then(drills::in_time)
    });
    report.target_met("drill_python_target", &python["targets_met"]);
}

fn deaths_of_workers(report: &mut Report, seed: u64) {
    let [analyzer, ..] = report.side_by_side([
        ("fault_01", Box::new(move || deaths::an_analyzer_dies(25, seed))),
        ("fault_02", Box::new(move || deaths::a_decoder_dies(25, seed))),
        ("fault_03", Box::new(move || deaths::an_ingest_dies(8, seed))),
        ("fault_04", Box::new(move || kills::recording_survives(&[("recorder", 15)], seed))),
        ("fault_05", Box::new(move || deaths::servers_die(10, seed))),
    ]);
    report.target_below("place_free_ms_p50", &analyzer["place_free_ms_p50"], 100.0);
    report.promise("fault_19", || cycles::nothing_is_left_of(150));
}

fn ends_of_supervisors(report: &mut Report) {
    let [killed, _, _, _, memory] = report.side_by_side([
        ("fault_06", Box::new(|| kills::the_supervisor_takes_all_with_it(5))),
        ("fault_07", Box::new(|| succession::the_adopted_go_on(3))),
        ("fault_35", Box::new(faults::a_packet_that_kills_is_passed_over_and_kept)),
        ("upgrade", Box::new(|| succession::upgrades_are_not_noticed(8))),
        ("memory", Box::new(|| many::memory_of_each_kind(10))),
    ]);
    report.target_below("all_ended_ms", &killed["all_ended_ms"], 1000.0);
    for (name, kind, mib) in [
        ("memory_motion", "private_mib_motion", 4.0),
        ("memory_recorder", "private_mib_recorder", 4.0),
        ("memory_rtsp", "private_mib_rtsp", 4.0),
        ("memory_web", "private_mib_web", 4.0),
        ("memory_decoder", "private_mib_decoder", 20.0),
    ] {
        report.target_below(name, &memory[kind], mib);
    }
}

fn hangs_and_stops(report: &mut Report, seed: u64) {
    // Those that look at how soon something is answered have little beside them.
    let [stopped, _, ends] = report.side_by_side([
        ("fault_09", Box::new(|| hangs::workers_stand_still(&MAY_STOP))),
        ("fault_10", Box::new(|| hangs::the_supervisor_stands_still(30))),
        ("fault_12", Box::new(exits::who_ends_again_and_again_is_held)),
    ]);
    report.target_below("ps_ms_while_stopped", &stopped["ps_ms_worst"], 50.0);
    report.target_below("crash_loop_cpu_percent", &ends["crash_loop_cpu_percent"], 5.0);
    let [_, unwilling, ..] = report.side_by_side([
        ("drill_hangs", Box::new(move || drills::the_demo_survives_hangs(seed))),
        ("fault_17", Box::new(exits::who_does_not_want_to_end_is_killed)),
        ("fault_18", Box::new(exits::who_has_a_family_takes_it_along)),
        ("late_server", Box::new(|| order::a_publisher_waits_for_its_late_server(20))),
    ]);
    report.target_below("down_ms_of_the_unwilling", &unwilling["down_ms"], 10_000.0);
}

fn many_cameras(report: &mut Report) {
    let many = report.promise("cameras_64", || many::cameras_are_recorded(64, 25, 60));
    report.target_below("memory_ingest_of_64", &many["private_mib_ingest"], 20.0);
    report.target_below("down_ms_of_64", &many["down_ms"], 10_000.0);
}

/// Promises that are tests of their own; `scripts/verify` has built them.
fn tests_of_the_surface(report: &mut Report) {
    let tests = |package, test, names: &'static [&'static str]| -> Check<'static> {
        Box::new(move || rings::named_tests(package, test, names))
    };
    let main = |names| tests("supervisor", "main", names);
    let system = |names| tests("tests", "system", names);
    report.side_by_side([
        ("faults_without_media", main(&["faults::", "nothing_survives_"])),
        ("reload_add_replace", main(&["changes_without_harm::"])),
        ("man_and_completions", main(&["shells_and_manual::"])),
        ("control_by_script", main(&["python_client::", "a_rust_program_"])),
        ("top", system(&["top_on_a_terminal::"])),
        ("doctor_and_explain", system(&["doctor_examines::", "explained_commands_run::"])),
        ("changes_seen_from_outside", system(&["changes::"])),
        ("help_examples", system(&["examples_of_help::"])),
    ]);
}
