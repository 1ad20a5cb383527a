//! What each path asks for before anything else is looked at. Pure.
//!
//! A path that is not among those the server was made of has no need, and so no answer: what is forgotten here
//! is not there.

use axum::http::Method;
use protocol::config::Right;

/// What somebody must be allowed to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To see every camera.
    All,
    /// To see some camera; the answer is about those that may be seen.
    Any,
    /// To see the camera that the path names.
    Camera,
    /// To change something, by a token.
    Change(Right),
    /// Nothing: it says no more than that this program is here.
    Nothing,
}

/// A path of the server, its parts in braces standing for one name each.
#[derive(Debug)]
struct Entry {
    method: Method,
    path: &'static str,
    need: Need,
}

/// All of them.
#[derive(Debug, Default)]
pub struct Plan(Vec<Entry>);

/// What a request is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Found<'a> {
    /// Nothing is there.
    Nowhere,
    /// There is something, for these methods.
    Otherwise(String),
    /// `subject`: the camera or the worker that the path names.
    There { need: Need, subject: Option<&'a str> },
}

impl Plan {
    pub fn of(routes: impl IntoIterator<Item = (Method, &'static str, Need)>) -> Self {
        let entry = |(method, path, need)| Entry { method, path, need };
        Self(routes.into_iter().map(entry).collect())
    }

    /// Names are plain words: a path with an escape in it is of nobody, so that it is read in one way only.
    pub fn find<'a>(&self, method: &Method, path: &'a str) -> Found<'a> {
        if path.contains('%') {
            return Found::Nowhere;
        }
        let is_head = *method == Method::HEAD;
        let is_it = |own: &Method| own == method || is_head && *own == Method::GET;
        let mut methods: Vec<&str> = Vec::new();
        for entry in &self.0 {
            let Some(subject) = subject(entry.path, path) else { continue };
            if is_it(&entry.method) {
                return Found::There { need: entry.need, subject };
            }
            methods.push(entry.method.as_str());
            methods.extend((entry.method == Method::GET).then_some("HEAD"));
        }
        if methods.is_empty() { Found::Nowhere } else { Found::Otherwise(methods.join(", ")) }
    }
}

/// Whom a path names that has this form; `None` when it has another one.
fn subject<'a>(form: &str, path: &'a str) -> Option<Option<&'a str>> {
    let (mut camera, mut file) = (None, None);
    let mut parts = path.split('/');
    for expected in form.split('/') {
        let part = parts.next()?;
        match expected {
            "{camera}" | "{worker}" if !part.is_empty() => camera = Some(part),
            "{file}" if !part.is_empty() => {
                // A camera's name has no dot in it, and the name of its picture has.
                file = part.split('.').next();
            }
            open if open.starts_with('{') && !part.is_empty() => {}
            fixed if fixed == part => {}
            _ => return None,
        }
    }
    parts.next().is_none().then_some(camera.or(file))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan() -> Plan {
        Plan::of([
            (Method::GET, "/", Need::Any),
            (Method::GET, "/healthz", Need::Nothing),
            (Method::GET, "/snap/{file}", Need::Camera),
            (Method::GET, "/recordings/{camera}/segment/{file}/{place}", Need::Camera),
            (Method::POST, "/api/v1/workers/{worker}/restart", Need::Change(Right::Restart)),
        ])
    }

    #[test]
    fn a_path_has_the_need_of_its_form_and_names_whom_it_is_about() {
        let plan = plan();
        let there = |need, subject| Found::There { need, subject };
        assert_eq!(plan.find(&Method::GET, "/"), there(Need::Any, None));
        assert_eq!(plan.find(&Method::HEAD, "/healthz"), there(Need::Nothing, None));
        assert_eq!(plan.find(&Method::GET, "/snap/cam1.jpg"), there(Need::Camera, Some("cam1")));
        let segment = "/recordings/cam1/segment/2026.123Z-1/0-5.m4s";
        assert_eq!(plan.find(&Method::GET, segment), there(Need::Camera, Some("cam1")));
        let restart = "/api/v1/workers/motion/restart";
        let need = there(Need::Change(Right::Restart), Some("motion"));
        assert_eq!(plan.find(&Method::POST, restart), need);
    }

    #[test]
    fn what_has_no_form_of_ours_is_nowhere() {
        let plan = plan();
        for path in [
            "",
            "//",
            "/healthz/",
            "//healthz",
            "/snap/",
            "/snap",
            "/snap/a/b",
            "/snap/%2e%2e.jpg",
            "/healthz%",
            "/recordings//segment/f/p",
            "/Healthz",
            "/api/v1/workers//restart",
        ] {
            assert_eq!(plan.find(&Method::GET, path), Found::Nowhere, "{path}");
        }
    }

    #[test]
    fn another_method_is_told_which_there_is() {
        let plan = plan();
        assert_eq!(
            plan.find(&Method::POST, "/snap/cam1.jpg"),
            Found::Otherwise("GET, HEAD".to_owned())
        );
        let restart = "/api/v1/workers/motion/restart";
        assert_eq!(plan.find(&Method::GET, restart), Found::Otherwise("POST".to_owned()));
        assert_eq!(plan.find(&Method::POST, "/nothing"), Found::Nowhere);
    }
}
