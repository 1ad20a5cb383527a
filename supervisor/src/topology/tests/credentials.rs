//! Credentials are used and never shown.

use protocol::config::ingest::Source;

use super::*;

/// A yard with credentials in its environment.
fn with_credentials(text: &str) -> Result<Topology, Report> {
    let held = [
        ("FRAMEVISOR_CRED_URL", "rtsp://admin:s3cret@10.0.0.5/s3cret"),
        ("FRAMEVISOR_CRED_PASSWORD", "s3cret"),
        // As long as a token has to be.
        ("FRAMEVISOR_CRED_TOKEN", "t0ken-t0ken-t0ken-t0ken"),
    ];
    let variables = held.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
    let source = crate::topology::Source {
        name: "/srv/yard/framevisor.yml".into(),
        text: format!("version: 1\n{text}"),
    };
    let overrides = Overrides { variables, ..Overrides::default() };
    here(vec![source], Edits::default(), Path::new("/srv/yard"), overrides)
}

#[test]
fn a_credential_is_used_and_never_shown() {
    let topology = with_credentials(
        "cameras: {front: '${cred:url}'}
workers:
  side: {use: ingest, source: 'rtsp://admin:${cred:password}@10.0.0.6/live?token=${cred:password}'}
  own: {run: [sh, -c, 'x'], env: {TOKEN: 'Bearer ${cred:password}', PLAIN: x}}",
    )
    .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(source_of(&topology, "front"), "${cred:url}");
    assert_eq!(source_of(&topology, "side"), "rtsp://10.0.0.6/live?token=${cred:password}");
    let Launch::Use(WorkerConfig::Ingest(front)) = &worker(&topology, "front").launch else {
        panic!()
    };
    let Source::Rtsp(url) = &front.source else { panic!() };
    assert_eq!(url.url(), "rtsp://admin:s3cret@10.0.0.5/s3cret");
    let Launch::Run { env, .. } = &worker(&topology, "own").launch else { panic!() };
    assert_eq!(env["TOKEN"].value(), "Bearer s3cret");
    assert_eq!(env["TOKEN"].to_string(), "Bearer ${cred:password}");
    assert!(!format!("{topology:?}").contains("s3cret"));
}

#[test]
fn a_credential_is_the_address_of_a_sub_stream_too() {
    let topology = with_credentials(
        "cameras: {front: {url: '${cred:url}', sub: '${cred:url}', motion: true}}",
    )
    .unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(source_of(&topology, "front-sub"), "${cred:url}");
    assert!(!format!("{topology:?}").contains("s3cret"));
}

#[test]
fn a_credential_is_refused_where_others_would_see_it_and_no_mistake_tells_it() {
    let report = with_credentials(
        "project: '${cred:password}'
workers:
  a: {use: ingest, source: '${cred:password}'}
  b: {run: [curl, '${cred:password}'], in: '${cred:password}'}
  c: {use: ingest, source: 'rtsp://${cred:password}:${cred:password}/x'}
  d: {use: ingest, source: '${cred:nobody}'}
  e: {use: '${cred:password}'}
  f: {use: decoder, in: a.packets, source: '${cred:password}'}
  g: {run: [x], env: {A: ['${cred:password}']}}
  h: {use: ingest, source: '${cred:no name}'}",
    )
    .unwrap_err();
    let texts: Vec<&str> = report.mistakes().iter().map(|it| it.text.as_str()).collect();
    let here = "${cred:password} cannot stand here: what is here is shown to others";
    let unfit =
        |what: &str| format!("source: what '{what}' stands for does not fit here; it is not shown");
    let expected = [
        here,
        &format!("worker a: {}", unfit("${cred:password}")),
        here,
        here,
        &format!("worker c: {}", unfit("rtsp://${cred:password}:${cred:password}/x")),
        "credential nobody is not there",
        here,
        "worker f: unknown key 'source'",
        "worker g: env.A is a list: expected a text",
        here,
        "'no name' is no name of a credential",
    ];
    assert_eq!(texts, expected, "{report}");
    let all = format!("{report} {}", report.to_json());
    assert!(!all.contains("s3cret"), "{all}");
    assert!(all.contains("looked for /srv/yard/credentials/nobody, then $FRAMEVISOR_CRED_NOBODY"));
}

fn rtsp_of(topology: &Topology, name: &str) -> protocol::config::RtspConfig {
    match &worker(topology, name).launch {
        Launch::Use(WorkerConfig::Rtsp(rtsp)) => rtsp.section.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn passwords_of_users_go_to_the_worker_and_are_shown_by_the_names_of_their_credentials() {
    let text = "workers:
  cam1: {use: ingest, source: 'test:'}
  rtsp: {use: rtsp, in: cam1.packets, listen: '0.0.0.0:8554',
         users: {anna: {password: '${cred:password}', play: '*'}, anyone: {play: lobby}},
         tls: {cert: server.pem, key: /etc/server.key, listen: '0.0.0.0:8322'}}";
    let topology = with_credentials(text).unwrap_or_else(|report| panic!("{report}"));
    let rtsp = rtsp_of(&topology, "rtsp");
    assert_eq!(rtsp.users["anna"].password.as_ref().unwrap().reveal(), "s3cret");
    let shown = serde_json::to_string(&rtsp).unwrap();
    assert!(shown.contains("${cred:password}") && !shown.contains("s3cret"), "{shown}");
    assert!(!format!("{topology:?}").contains("s3cret"));
    let tls = rtsp.tls.unwrap();
    assert_eq!(tls.cert, Path::new("/srv/yard/server.pem"));
    assert_eq!(tls.key, Path::new("/etc/server.key"));
    let listens: Vec<_> = worker(&topology, "rtsp").listens().map(|it| it.to_string()).collect();
    assert_eq!(listens, ["0.0.0.0:8554", "0.0.0.0:8322"]);
    let from_defaults = with_credentials(
        "cameras: {cam1: {url: 'test:', serve: rtsp}}
defaults: {rtsp: {listen: '[::]:8554', users: {anna: {password: '${cred:password}', play: cam1}}}}",
    );
    let topology = from_defaults.unwrap_or_else(|report| panic!("{report}"));
    let anna = &rtsp_of(&topology, "rtsp").users["anna"];
    assert_eq!(anna.password.as_ref().unwrap().to_string(), "${cred:password}");
}

#[test]
fn a_password_in_the_file_or_one_that_is_none_is_a_mistake_that_does_not_tell_it() {
    let of = |users: &str| {
        let text = format!(
            "workers:
  cam1: {{use: ingest, source: 'test:'}}
  rtsp: {{use: rtsp, in: cam1.packets, users: {users}}}"
        );
        let report = with_credentials(&text).unwrap_err();
        let all = report.to_string();
        assert!(!all.contains("s3cret") && !all.contains("hunter2"), "{all}");
        report.mistakes().iter().map(|mistake| mistake.text.clone()).collect::<Vec<_>>().join("; ")
    };
    let text = of("{anna: {password: hunter2, play: '*'}}");
    assert!(text.contains("expected a credential, written as ${cred:NAME}"), "{text}");
    let text = of("{anna: {password: 'digest:${cred:password}', play: '*'}}");
    assert!(text.contains("'digest:${cred:password}' stands for does not fit"), "{text}");
    let text = of("{anna: {password: '${cred:password}', play: '${cred:password}'}}");
    assert!(text.contains("${cred:password} cannot stand here"), "{text}");
    for (users, expected) in [
        ("{anna: {play: '*'}}", "anna has no password"),
        ("{anyone: {password: '${cred:password}', play: '*'}}", "anyone is who says no name"),
        ("{anyone: {}}", "anyone may do nothing"),
        ("{'an na': {password: '${cred:password}', play: '*'}}", "is no name of a user"),
    ] {
        let text = of(users);
        assert!(text.contains(expected), "{users}: {text}");
    }
}

#[test]
fn an_address_that_others_reach_needs_users_or_the_word_that_everybody_may() {
    let of = |more: &str| {
        with_credentials(&format!(
            "workers:
  cam1: {{use: ingest, source: 'test:'}}
  rtsp: {{use: rtsp, in: cam1.packets, {more}}}"
        ))
    };
    for open in ["listen: '0.0.0.0:8554'", "tls: {cert: a, key: b, listen: '[::]:8322'}"] {
        let text = of(open).unwrap_err().to_string();
        assert!(text.contains("which other machines reach, and has no users"), "{text}");
        assert!(text.contains("users: {anyone: {play: '*'}}"), "{text}");
        assert!(of(&format!("{open}, users: {{anyone: {{play: '*'}}}}")).is_ok());
    }
    assert!(of("listen: '127.0.0.2:8554'").is_ok() && of("listen: '[::1]:8554'").is_ok());
    let twice = of("listen: '127.0.0.1:0', tls: {cert: a, key: b, listen: '127.0.0.1:0'}");
    assert!(twice.unwrap_err().to_string().contains("with TLS and without"));
    let taken = of("tls: {cert: a, key: b, listen: '0.0.0.0:8554'}, users: {anyone: {play: x}}");
    assert!(taken.unwrap_err().to_string().contains("as worker rtsp does already"));
}

fn web_of(topology: &Topology, name: &str) -> protocol::config::WebConfig {
    match &worker(topology, name).launch {
        Launch::Use(WorkerConfig::Web(web)) => web.section.clone(),
        other => panic!("{other:?}"),
    }
}

#[test]
fn users_and_tokens_of_the_page_go_to_its_worker_and_are_shown_by_the_names_of_their_credentials() {
    let text = "workers:
  cam1: {use: ingest, source: 'test:'}
  web: {use: web, in: cam1.packets, listen: '0.0.0.0:8080',
        users: {anna: {password: '${cred:password}', play: '*'}},
        tokens: {ops: {token: '${cred:token}', may: [restart, comment], cameras: 'cam*'}},
        tls: {cert: server.pem, key: /etc/server.key}}";
    let topology = with_credentials(text).unwrap_or_else(|report| panic!("{report}"));
    let web = web_of(&topology, "web");
    assert_eq!(web.tokens["ops"].token.reveal(), "t0ken-t0ken-t0ken-t0ken");
    assert_eq!(web.users["anna"].password.as_ref().unwrap().reveal(), "s3cret");
    let shown = serde_json::to_string(&web).unwrap();
    assert!(shown.contains("${cred:token}") && shown.contains("${cred:password}"), "{shown}");
    assert!(!shown.contains("t0ken") && !format!("{topology:?}").contains("t0ken"));
    assert_eq!(web.tls.unwrap().cert, Path::new("/srv/yard/server.pem"));
    let listens: Vec<_> = worker(&topology, "web").listens().map(|it| it.to_string()).collect();
    assert_eq!(listens, ["0.0.0.0:8080", "127.0.0.1:8443"]);
    let from_defaults = with_credentials(
        "cameras: {cam1: {url: 'test:', serve: web}}
defaults: {web: {tokens: {ops: {token: '${cred:token}', may: [read]}}}}",
    );
    let topology = from_defaults.unwrap_or_else(|report| panic!("{report}"));
    assert_eq!(web_of(&topology, "web").tokens["ops"].token.to_string(), "${cred:token}");
}

#[test]
fn a_token_in_the_file_or_one_that_can_be_guessed_is_a_mistake_that_does_not_tell_it() {
    let of = |more: &str| {
        let text = format!(
            "workers:
  cam1: {{use: ingest, source: 'test:'}}
  web: {{use: web, in: cam1.packets, {more}}}"
        );
        let all = with_credentials(&text).unwrap_err().to_string();
        assert!(
            !all.contains("t0ken-") && !all.contains("hunter2") && !all.contains("s3cret"),
            "{all}"
        );
        all
    };
    let written = of("tokens: {ops: {token: hunter2hunter2hunter2, may: [read]}}");
    assert!(written.contains("expected a credential, written as ${cred:NAME}"), "{written}");
    let short = of("tokens: {ops: {token: '${cred:password}', may: [read]}}");
    assert!(short.contains("stands for does not fit") && short.contains("openssl rand"), "{short}");
    for (more, expected) in [
        ("tokens: {ops: {token: '${cred:token}', may: []}}", "ops may do nothing"),
        ("tokens: {'o ps': {token: '${cred:token}', may: [read]}}", "is no name of a token"),
        ("tokens: {ops: {token: '${cred:token}', may: [down]}}", "tokens"),
        ("tokens: {ops: {may: [read]}}", "missing key 'token'"),
        ("base_path: cams", "base_path is 'cams'"),
        ("hosts: ['nvr:80']", "is no name of a host"),
        ("tls: {cert: a, key: b, listen: '127.0.0.1:8080'}", "with TLS and without"),
    ] {
        let text = of(more);
        assert!(text.contains(expected), "{more}: {text}");
    }
}

#[test]
fn a_page_that_others_reach_needs_users_or_the_word_that_everybody_may_look() {
    let of = |more: &str| {
        with_credentials(&format!(
            "workers:
  cam1: {{use: ingest, source: 'test:'}}
  web: {{use: web, in: cam1.packets, {more}}}"
        ))
    };
    let tokens = "tokens: {ops: {token: '${cred:token}', may: [read]}}";
    for open in [
        "listen: '0.0.0.0:8080'".to_owned(),
        "tls: {cert: a, key: b, listen: '[::]:8443'}".to_owned(),
        format!("listen: '0.0.0.0:8080', {tokens}"),
    ] {
        let text = of(&open).unwrap_err().to_string();
        assert!(text.contains("which other machines reach, and has no users"), "{text}");
        assert!(of(&format!("{open}, users: {{anyone: {{play: '*'}}}}")).is_ok(), "{open}");
    }
    assert!(of("listen: '[::1]:8080'").is_ok());
}
