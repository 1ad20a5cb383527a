//! SOAP 1.2: what a request asks, and the envelopes of answers and faults. Pure.

use xml::{Element, Malformed, escape};

use super::token::UsernameToken;

const ENVELOPE: &str = "http://www.w3.org/2003/05/soap-envelope";

/// What is asked.
#[derive(Debug)]
pub struct Request {
    /// The operation: the first element of the body.
    pub operation: Element,
    /// Who asks, where that is said in the envelope.
    pub token: Option<UsernameToken>,
}

/// Why bytes are no request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unread {
    #[error(transparent)]
    Xml(#[from] Malformed),
    #[error("it is no envelope with an operation in its body")]
    NoOperation,
}

/// Whose mistake it is, and which (ONVIF core, 5.8.2.3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    pub kind: Kind,
    pub why: String,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// No such operation here.
    ActionNotSupported,
    InvalidArgs,
    NoProfile,
    NotAuthorized,
    WellFormed,
}

impl Kind {
    /// The part at fault, the kind, and the finer one.
    fn codes(self) -> (&'static str, &'static str, Option<&'static str>) {
        match self {
            Self::ActionNotSupported => ("Receiver", "ActionNotSupported", None),
            Self::InvalidArgs => ("Sender", "InvalidArgVal", None),
            Self::NoProfile => ("Sender", "InvalidArgVal", Some("NoProfile")),
            Self::NotAuthorized => ("Sender", "NotAuthorized", None),
            Self::WellFormed => ("Sender", "WellFormed", None),
        }
    }

    /// The status of HTTP that goes with it (SOAP 1.2 part 2, table 20).
    pub fn status(self) -> u16 {
        match self.codes().0 {
            "Receiver" => 500,
            _ => 400,
        }
    }
}

impl Fault {
    pub fn new(kind: Kind, why: impl Into<String>) -> Self {
        Self { kind, why: why.into() }
    }

    pub fn envelope(&self) -> String {
        let (part, kind, finer) = self.kind.codes();
        let finer =
            finer.map(|finer| format!("<s:Subcode><s:Value>ter:{finer}</s:Value></s:Subcode>"));
        envelope(&format!(
            "<s:Fault xmlns:ter=\"http://www.onvif.org/ver10/error\"><s:Code><s:Value>s:{part}</s:Value>\
             <s:Subcode><s:Value>ter:{kind}</s:Value>{}</s:Subcode></s:Code>\
             <s:Reason><s:Text xml:lang=\"en\">{}</s:Text></s:Reason></s:Fault>",
            finer.unwrap_or_default(),
            escape(self.why.as_str())
        ))
    }
}

pub fn read(bytes: &[u8]) -> Result<Request, Unread> {
    let envelope = xml::read(bytes)?;
    let part = |name: &str| envelope.children().iter().find(|child| child.name == name);
    let operation = part("Body").and_then(|body| body.children().first());
    let operation = operation.filter(|_| envelope.name == "Envelope").ok_or(Unread::NoOperation)?;
    let token = part("Header").and_then(|header| header.find("UsernameToken"));
    Ok(Request { operation: operation.clone(), token: token.and_then(UsernameToken::read) })
}

pub fn envelope(body: &str) -> String {
    format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?><s:Envelope xmlns:s=\"{ENVELOPE}\"><s:Body>{body}</s:Body></s:Envelope>"
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_operation_is_the_first_element_of_the_body() {
        let asked = format!(
            "<e:Envelope xmlns:e=\"{ENVELOPE}\"><e:Header/><e:Body><GetStreamUri>\
             <ProfileToken>cam1</ProfileToken></GetStreamUri></e:Body></e:Envelope>"
        );
        let request = read(asked.as_bytes()).unwrap();
        assert_eq!(request.operation.name, "GetStreamUri");
        assert_eq!(request.operation.text_of("ProfileToken"), Some("cam1"));
        assert!(request.token.is_none());
        for other in ["<a><Body><b/></Body></a>", "<Envelope><Body/></Envelope>", "<Envelope/>"] {
            assert_eq!(read(other.as_bytes()).unwrap_err(), Unread::NoOperation, "{other}");
        }
        assert!(matches!(read(b"no"), Err(Unread::Xml(_))));
    }

    #[test]
    fn a_fault_names_who_is_at_fault_and_why() {
        let fault = Fault::new(Kind::NoProfile, "no profile <x>");
        let text = fault.envelope();
        let read = xml::read(text.as_bytes()).unwrap();
        let codes: Vec<_> = read.all("Value").iter().map(|code| code.text.clone()).collect();
        assert_eq!(codes, ["s:Sender", "ter:InvalidArgVal", "ter:NoProfile"]);
        assert_eq!(read.text_of("Text"), Some("no profile <x>"));
        assert_eq!(fault.kind.status(), 400);
        assert_eq!(Kind::ActionNotSupported.status(), 500);
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = read(&bytes);
        }
    }
}
