//! Credentials are used and never shown.

use protocol::config::ingest::Source;

use super::*;

/// A yard with credentials in its environment.
fn with_credentials(text: &str) -> Result<Topology, Report> {
    let held = [
        ("FRAMEVISOR_CRED_URL", "rtsp://admin:s3cret@10.0.0.5/s3cret"),
        ("FRAMEVISOR_CRED_PASSWORD", "s3cret"),
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
