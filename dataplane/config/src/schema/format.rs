//! The formats of text: a sentence for people, a pattern for editors, and the check itself.

use std::net::SocketAddr;

/// A format of text.
pub(crate) struct Format {
    /// Completes the sentence "expected …".
    pub(crate) expected: &'static str,
    /// A pattern for the JSON Schema, never stricter than the check; empty for none.
    pub(crate) pattern: &'static str,
    /// Whether a text has the format. The error says what is wrong with it, and may be empty where
    /// `expected` says it all.
    pub(crate) check: fn(&str) -> Result<(), String>,
}

/// Any text, the empty one too.
pub(crate) static ANY: Format = Format { expected: "text", pattern: "", check: |_| Ok(()) };

/// The name of an object.
pub(crate) static NAME: Format = Format {
    expected: "a name of 1 to 128 letters, digits, `.`, `_`, `-`",
    pattern: "^[A-Za-z0-9._-]{1,128}$",
    check: |text| {
        let fits = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
        holds((1..=128).contains(&text.len()) && text.bytes().all(fits))
    },
};

/// A path in the file system.
pub(crate) static FILE: Format = Format {
    expected: "a path, relative ones counted from the folder of this file",
    pattern: "^.+$",
    check: |text| holds(!text.is_empty() && !text.contains('\0')),
};

/// Where to listen.
pub(crate) static LISTEN_ADDRESS: Format = Format {
    expected: "an address such as `0.0.0.0:8080`, `[::]:8080` or `unix:/run/ringgate.sock`",
    pattern: "^(unix:.+|.+:[0-9]{1,5})$",
    check: |text| match text.strip_prefix("unix:") {
        Some(path) => unix_path(path),
        None => holds(text.parse::<SocketAddr>().is_ok()),
    },
};

/// Where to connect to.
pub(crate) static ENDPOINT_ADDRESS: Format = Format {
    expected: "an address such as `10.0.0.1:80`, `[fd00::1]:80`, `app.internal:8080` or \
               `unix:/run/app.sock`",
    pattern: "^(unix:.+|.+:[0-9]{1,5})$",
    check: |text| {
        if let Some(path) = text.strip_prefix("unix:") {
            return unix_path(path);
        }
        if text.contains("://") {
            return Err("is a URL".into());
        }
        let port = match text.parse::<SocketAddr>() {
            Ok(address) => address.port(),
            Err(_) => {
                let (host, port) = text.rsplit_once(':').ok_or("has no port")?;
                if !is_host_name(host) {
                    return Err(String::new());
                }
                holds(port.bytes().all(|b| b.is_ascii_digit()))?;
                port.parse().map_err(|_| "has a port above 65535".to_owned())?
            }
        };
        if port == 0 { Err("has port 0".into()) } else { Ok(()) }
    },
};

/// The host of a route: a name, an address, or a wildcard for the first labels.
pub(crate) static HOST_PATTERN: Format = Format {
    expected: "a host such as `api.example.com` or `*.example.org`, without port",
    pattern: r"^(\*|(\*\.)?[^*/:]+|\[[0-9A-Fa-f:.]+\])$",
    check: |text| {
        if text == "*" || text.parse::<std::net::Ipv4Addr>().is_ok() {
            return Ok(());
        }
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return holds(address.parse::<std::net::Ipv6Addr>().is_ok());
        }
        if text.contains(':') {
            return Err("has a port, or is an IPv6 address without brackets".into());
        }
        holds(is_host_name(text.strip_prefix("*.").unwrap_or(text)))
    },
};

/// A host, with a port if need be: what `Host` may say.
pub(crate) static AUTHORITY: Format = Format {
    expected: "a host such as `app.internal` or `app.internal:8080`",
    pattern: "^[^/@ *]+$",
    check: |text| {
        if text.parse::<SocketAddr>().is_ok() {
            return Ok(());
        }
        if let Some(address) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            return holds(address.parse::<std::net::Ipv6Addr>().is_ok());
        }
        let (host, port) = text.rsplit_once(':').unwrap_or((text, "80"));
        holds(is_host_name(host) && port.parse::<u16>().is_ok_and(|port| port > 0))
    },
};

/// The path of a request, or its beginning.
pub(crate) static PATH: Format = Format {
    expected: "a path that begins with `/`, without query, fragment or blanks",
    pattern: "^/[^?# ]*$",
    check: |text| {
        let fits = |b: u8| b.is_ascii_graphic() && !b"?#\"<>\\^`{}|".contains(&b);
        if !text.starts_with('/') {
            return Err("does not begin with `/`".into());
        }
        match text.chars().find(|&c| !u8::try_from(c).is_ok_and(fits)) {
            Some(c) => Err(format!("has {c:?}, which no path has unless percent-encoded")),
            None => Ok(()),
        }
    },
};

/// A regular expression.
pub(crate) static REGEX: Format = Format {
    expected: "a regular expression (RE2 syntax)",
    pattern: "^.+$",
    check: |text| {
        if text.is_empty() {
            return Err("is empty".into());
        }
        match regex::bytes::RegexBuilder::new(text).size_limit(REGEX_BYTES_MAX).build() {
            Ok(_) => Ok(()),
            Err(regex::Error::CompiledTooBig(_)) => {
                Err(format!("compiles to more than {REGEX_BYTES_MAX} bytes"))
            }
            Err(error) => Err(match error.to_string().rsplit_once("error: ") {
                Some((_, reason)) => format!("is not valid: {reason}"),
                None => "is not valid".into(),
            }),
        }
    },
};

/// Most memory of one compiled expression.
pub(crate) const REGEX_BYTES_MAX: usize = 1 << 20;

/// The method of a request.
pub(crate) static METHOD: Format = Format {
    expected: "a method such as `GET`",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,32}$",
    check: |text| {
        let upper = text.to_ascii_uppercase();
        if upper != text && KNOWN_METHODS.contains(&upper.as_str()) {
            return Err(format!("is not `{upper}`: methods have capitals"));
        }
        if text == "TRACE" {
            return Err("is never served".into());
        }
        holds(text.len() <= 32 && is_token(text))
    },
};

const KNOWN_METHODS: [&str; 9] =
    ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "PATCH", "TRACE"];

/// The name of a field of a message.
pub(crate) static FIELD_NAME: Format = Format {
    expected: "a header name such as `x-canary`",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$",
    check: |text| holds(text.len() <= 256 && is_token(text)),
};

/// The name of a field that the configuration may set.
pub(crate) static EDITED_NAME: Format = Format {
    expected: "a header name such as `x-env`, none that frames a message",
    pattern: "^[!#$%&'*+.^_`|~0-9A-Za-z-]{1,256}$",
    check: |text| {
        let lower = text.to_ascii_lowercase();
        if lower == "host" {
            return Err("is set by `host_rewrite`".into());
        }
        if FRAMING_NAMES.contains(&lower.as_str()) {
            return Err("is the gateway's own: it frames the message or the connection".into());
        }
        (FIELD_NAME.check)(text)
    },
};

/// Fields of one connection or of the framing (RFC 9110 §7.6.1, RFC 9112 §6).
const FRAMING_NAMES: [&str; 9] = [
    "connection",
    "content-length",
    "keep-alive",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "expect",
];

/// The value of a field of a message (RFC 9110 §5.5).
pub(crate) static FIELD_VALUE: Format = Format {
    expected: "a header value: visible characters, blanks only between them",
    pattern: "",
    check: |text| {
        if text.len() > 8 << 10 {
            return Err("is longer than 8 KiB".into());
        }
        if let Some(c) = text.chars().find(|&c| c.is_control() && c != '\t') {
            return Err(format!("has the control character {c:?}"));
        }
        let blank = |c| c == ' ' || c == '\t';
        if text.starts_with(blank) || text.ends_with(blank) {
            return Err("begins or ends with a blank".into());
        }
        Ok(())
    },
};

/// The name of a parameter of the query.
pub(crate) static QUERY_NAME: Format = Format {
    expected: "the name of a query parameter, as it stands in the URL",
    pattern: "^[^&=# ]+$",
    check: |text| {
        let fits = |b: u8| b.is_ascii_graphic() && !b"&=#".contains(&b);
        holds(!text.is_empty() && text.bytes().all(fits))
    },
};

/// What a hash decides an endpoint by.
pub(crate) static BALANCE_KEY: Format = Format {
    expected: "`client_ip`, `path` or `header:NAME`",
    pattern: "^(client_ip|path|header:.+)$",
    check: |text| match text.strip_prefix("header:") {
        Some(name) => (FIELD_NAME.check)(name),
        None => holds(text == "client_ip" || text == "path"),
    },
};

/// The body of a fixed answer.
pub(crate) static BODY: Format = Format {
    expected: "text of at most 1 MiB",
    pattern: "",
    check: |text| holds(text.len() <= 1 << 20),
};

/// A name of labels (RFC 1123 §2.1), `_` allowed, a dot at the end allowed.
pub(crate) fn is_host_name(text: &str) -> bool {
    let text = text.strip_suffix('.').unwrap_or(text);
    let fits = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'_';
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(fits)
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    // 253: RFC 1035 §2.3.4, as text. A name of digits alone would be a mistyped address.
    text.len() <= 253
        && text.split('.').all(is_label)
        && !text.split('.').all(|label| label.bytes().all(|b| b.is_ascii_digit()))
}

/// `token` of RFC 9110 §5.6.2.
pub(crate) fn is_token(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    !text.is_empty() && text.bytes().all(fits)
}

fn unix_path(path: &str) -> Result<(), String> {
    // 107: sun_path of Linux holds 108 bytes, the last of them NUL.
    match path.len() {
        0 => Err("has no path".into()),
        1..=107 if !path.contains('\0') => Ok(()),
        _ => Err("has a path longer than 107 bytes, the most a unix socket may have".into()),
    }
}

fn holds(condition: bool) -> Result<(), String> {
    if condition { Ok(()) } else { Err(String::new()) }
}
