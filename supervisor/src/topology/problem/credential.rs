//! Mistakes with `${cred:NAME}`; none of them says what a credential holds.

use std::path::PathBuf;

#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CredentialProblem {
    #[error("{key}: what {written} stands for does not fit here; it is not shown")]
    Unfit { key: String, written: String },
    #[error("'{seen}' is no name of a credential")]
    Name { seen: String },
    #[error("{written} cannot stand here: what is here is shown to others")]
    NotHere { written: String },
    #[error("credential {name} is not there")]
    NotThere { name: String, looked: Vec<String> },
    #[error("credential {name}: others can read {}", path.display())]
    Open { name: String, path: PathBuf },
    #[error("credential {name}: cannot read {}: {reason}", path.display())]
    Unreadable { name: String, path: PathBuf, reason: String },
}

impl CredentialProblem {
    pub(super) fn help(&self) -> String {
        match self {
            Self::Unfit { key, .. } if key == "users" => {
                "it must hold a password of 1 to 1024 bytes, or digest:sha-256=HEX,md5=HEX".into()
            }
            Self::Unfit { key, .. } if key == "tokens" => {
                "it must hold 20 to 1024 letters, digits and any of - . _ ~ + / =, as from: openssl rand -hex 24".into()
            }
            Self::Unfit { .. } => "it must hold, or make, a whole rtsp:// URL".into(),
            Self::Name { .. } => {
                "use letters, digits, '_', '-' and '.', for example ${cred:front_url}".into()
            }
            Self::NotHere { .. } => {
                "credentials belong in 'url', 'source' or a variable of 'env'".into()
            }
            Self::NotThere { looked, .. } => format!("looked for {}", looked.join(", then ")),
            Self::Open { path, .. } => format!("chmod 600 {}", path.display()),
            Self::Unreadable { .. } => {
                "it must be a text of at most 64 KiB that the user who runs framevisor may read"
                    .into()
            }
        }
    }
}
