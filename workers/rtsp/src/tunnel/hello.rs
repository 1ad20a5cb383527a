//! How a connection begins: with RTSP, or with one of the two HTTP requests of a tunnel. Pure.

/// Longest head of an HTTP request; that of a client is a few hundred bytes.
pub const HEAD_MAX_BYTES: usize = 8 << 10;
/// Longest cookie: clients send some twenty characters.
const COOKIE_MAX_BYTES: usize = 128;
const COOKIE: &str = "x-sessioncookie";
const GET: &[u8] = b"GET ";
const POST: &[u8] = b"POST ";

/// What the first bytes are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Hello {
    /// Too few to tell.
    Unknown,
    /// RTSP, or nothing that is known: for the RTSP reader in any case.
    Rtsp,
    Get {
        cookie: String,
        /// Where the head ends.
        head_bytes: usize,
    },
    Post {
        cookie: String,
        head_bytes: usize,
    },
}

/// Reads the first bytes of a connection. An HTTP request that belongs to no tunnel is no RTSP either, and is left to
/// the RTSP reader to refuse.
pub fn read(bytes: &[u8]) -> Hello {
    let is_get = begins(bytes, GET);
    if !is_get && !begins(bytes, POST) {
        return Hello::Rtsp;
    }
    let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") else {
        let may_go_on = bytes.len() < HEAD_MAX_BYTES;
        return if may_go_on { Hello::Unknown } else { Hello::Rtsp };
    };
    let head_bytes = end + 4;
    match cookie(&bytes[..end]) {
        Some(cookie) if is_get => Hello::Get { cookie, head_bytes },
        Some(cookie) => Hello::Post { cookie, head_bytes },
        None => Hello::Rtsp,
    }
}

/// What a GET is answered, before RTSP follows: no length, since it does not end.
pub const ACCEPTED: &[u8] = b"HTTP/1.0 200 OK\r\n\
    Connection: close\r\n\
    Cache-Control: no-store\r\n\
    Pragma: no-cache\r\n\
    Content-Type: application/x-rtsp-tunnelled\r\n\r\n";

/// What a GET is answered for which there is no place.
pub const FULL: &[u8] = b"HTTP/1.0 503 Service Unavailable\r\nConnection: close\r\n\r\n";

/// What a GET is answered whose cookie another one has.
pub const TAKEN: &[u8] = b"HTTP/1.0 409 Conflict\r\nConnection: close\r\n\r\n";

/// Whether `bytes` begin with `word`, or may do so with more of them.
fn begins(bytes: &[u8], word: &[u8]) -> bool {
    let common = bytes.len().min(word.len());
    bytes[..common] == word[..common]
}

/// The cookie of a head whose first line is HTTP's.
fn cookie(head: &[u8]) -> Option<String> {
    let mut lines = std::str::from_utf8(head).ok()?.split("\r\n");
    let version = lines.next()?.rsplit(' ').next()?;
    if !version.starts_with("HTTP/1.") {
        return None;
    }
    let value = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.trim().eq_ignore_ascii_case(COOKIE).then(|| value.trim())
    })?;
    let is_cookie = !value.is_empty()
        && value.len() <= COOKIE_MAX_BYTES
        && value.bytes().all(|byte| byte.is_ascii_graphic());
    is_cookie.then(|| value.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const ASKED: &[u8] = b"GET /cam1 HTTP/1.1\r\nUser-Agent: x\r\nX-SessionCookie: abc=1\r\n\
        Accept: application/x-rtsp-tunnelled\r\n\r\n";

    #[test]
    fn a_get_and_a_post_with_a_cookie_are_a_tunnel() {
        let (cookie, head_bytes) = ("abc=1".to_owned(), ASKED.len());
        assert_eq!(read(ASKED), Hello::Get { cookie: cookie.clone(), head_bytes });
        let post = [b"POST /cam1 HTTP/1.0\r\nx-sessioncookie: abc=1\r\n\r\n", &b"T1BUSU9OUw=="[..]];
        let head_bytes = post[0].len();
        assert_eq!(read(&post.concat()), Hello::Post { cookie, head_bytes });
    }

    #[test]
    fn what_comes_byte_by_byte_is_known_as_soon_as_it_can_be() {
        for bytes in 0..ASKED.len() {
            assert_eq!(read(&ASKED[..bytes]), Hello::Unknown, "{bytes} bytes");
        }
        for (begun, hello) in [
            ("PLAY", Hello::Rtsp),
            ("P", Hello::Unknown),
            ("GET_", Hello::Rtsp),
            ("O", Hello::Rtsp),
        ] {
            assert_eq!(read(begun.as_bytes()), hello, "{begun}");
        }
    }

    #[test]
    fn http_without_a_tunnels_cookie_is_left_to_be_refused() {
        for text in [
            "GET / HTTP/1.1\r\n\r\n",
            "GET /cam1 HTTP/1.1\r\nx-sessioncookie:\r\n\r\n",
            "GET /cam1 HTTP/1.1\r\nx-sessioncookie: a b\r\n\r\n",
            "GET /cam1 RTSP/1.0\r\nx-sessioncookie: abc\r\n\r\n",
            "POST /cam1\r\nx-sessioncookie: abc\r\n\r\n",
        ] {
            assert_eq!(read(text.as_bytes()), Hello::Rtsp, "{text}");
        }
        let long = format!("GET /cam1 HTTP/1.1\r\nx-sessioncookie: {}\r\n\r\n", "c".repeat(129));
        assert_eq!(read(long.as_bytes()), Hello::Rtsp);
        let endless = [b"GET /cam1 HTTP/1.1\r\nX: ", &[b'x'; HEAD_MAX_BYTES][..]].concat();
        assert_eq!(read(&endless), Hello::Rtsp);
    }

    proptest! {
        #[test]
        fn random_beginnings_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..100)) {
            read(&bytes);
            read(&[b"GET ", &bytes[..], b"\r\n\r\n"].concat());
        }
    }
}
