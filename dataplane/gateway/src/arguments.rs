//! The command line.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use lexopt::prelude::*;

use crate::failure::Failure;

/// What `--help` prints.
pub(crate) const HELP: &str = "\
ringgate: an AI-native HTTP gateway on io_uring

  ringgate run -c FILE                run; SIGTERM drains, a second one ends at once, SIGHUP re-reads
  ringgate check -c FILE              exit code 0, or 1 with every problem
  ringgate explain -c FILE --request 'GET http://host/path' [-H 'name: value']...
                                      who would serve a request, and why
  ringgate schema                     JSON Schema of the configuration, for editors
  ringgate demo [--address ADDRESS] [--seconds N]
                                      gateway and built-in origin on loopback, with commands to try
  ringgate origin [--address ADDRESS] [--workers N] [--name NAME] [--token-interval 20ms]
                                      the built-in web origin and model server alone

Exit codes: 0 done, 1 the configuration or request is wrong, 2 usage, 3 the host refused.
";

/// What to do.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Command {
    Help,
    Version,
    Run { file: PathBuf },
    Check { file: PathBuf },
    Explain { file: PathBuf, request: String, headers: Vec<(String, String)> },
    Schema,
    Demo(DemoOptions),
    Origin(OriginOptions),
}

/// Options of `demo`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct DemoOptions {
    /// Where the gateway listens.
    pub(crate) address: SocketAddr,
    /// Ends by itself after so long.
    pub(crate) ends_after: Option<Duration>,
}

/// Options of `origin`.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OriginOptions {
    pub(crate) address: String,
    pub(crate) workers: usize,
    pub(crate) name: String,
    pub(crate) token_interval: Duration,
}

/// Workers that one origin may have.
const ORIGIN_WORKERS_MAX: usize = 1024;

/// Reads the arguments behind the program's name.
///
/// # Errors
/// [`Failure::Usage`] in one sentence.
pub(crate) fn parse(arguments: impl Iterator<Item = OsString>) -> Result<Command, Failure> {
    read(lexopt::Parser::from_args(arguments)).map_err(|error| Failure::Usage(error.to_string()))
}

fn read(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let name = match parser.next()? {
        None => return Err("no command is given".into()),
        Some(Short('h') | Long("help")) => return Ok(Command::Help),
        Some(Short('V') | Long("version")) => return Ok(Command::Version),
        Some(Value(name)) => name.string()?,
        Some(other) => return Err(other.unexpected()),
    };
    match name.as_str() {
        "run" => with_file(parser).map(|file| Command::Run { file }),
        "check" => with_file(parser).map(|file| Command::Check { file }),
        "explain" => explain(parser),
        "schema" => alone(parser).map(|()| Command::Schema),
        "demo" => demo(parser),
        "origin" => origin(parser),
        "help" => Ok(Command::Help),
        other => Err(format!("there is no command `{other}`").into()),
    }
}

fn alone(mut parser: lexopt::Parser) -> Result<(), lexopt::Error> {
    match parser.next()? {
        None => Ok(()),
        Some(other) => Err(other.unexpected()),
    }
}

fn with_file(mut parser: lexopt::Parser) -> Result<PathBuf, lexopt::Error> {
    let mut file = None;
    while let Some(argument) = parser.next()? {
        match argument {
            Short('c') | Long("config") => file = Some(parser.value()?.into()),
            other => return Err(other.unexpected()),
        }
    }
    file.ok_or_else(|| "a configuration file is needed: -c FILE".into())
}

fn explain(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let (mut file, mut request, mut headers) = (None, None, Vec::new());
    while let Some(argument) = parser.next()? {
        match argument {
            Short('c') | Long("config") => file = Some(parser.value()?.into()),
            Long("request") => request = Some(parser.value()?.string()?),
            Short('H') | Long("header") => {
                let header = parser.value()?.string()?;
                let Some((name, value)) = header.split_once(':') else {
                    return Err(format!("`{header}` is no header; write 'name: value'").into());
                };
                headers.push((name.trim().to_owned(), value.trim().to_owned()));
            }
            other => return Err(other.unexpected()),
        }
    }
    let file = file.ok_or("a configuration file is needed: -c FILE")?;
    let request = request.ok_or("a request is needed: --request 'GET http://host/path'")?;
    Ok(Command::Explain { file, request, headers })
}

fn demo(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut options =
        DemoOptions { address: SocketAddr::from(([127, 0, 0, 1], 8080)), ends_after: None };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => options.address = parser.value()?.parse()?,
            Long("seconds") => {
                options.ends_after = Some(Duration::from_secs(parser.value()?.parse()?));
            }
            other => return Err(other.unexpected()),
        }
    }
    if !options.address.ip().is_loopback() {
        return Err("the demo listens on loopback only".into());
    }
    Ok(Command::Demo(options))
}

fn origin(mut parser: lexopt::Parser) -> Result<Command, lexopt::Error> {
    let mut options = OriginOptions {
        address: "127.0.0.1:8081".to_owned(),
        workers: 1,
        name: "origin".to_owned(),
        token_interval: Duration::from_millis(20),
    };
    while let Some(argument) = parser.next()? {
        match argument {
            Long("address") => options.address = parser.value()?.string()?,
            Long("workers") => options.workers = parser.value()?.parse()?,
            Long("name") => options.name = parser.value()?.string()?,
            Long("token-interval") => {
                let text = parser.value()?.string()?;
                options.token_interval = duration(&text)?;
            }
            other => return Err(other.unexpected()),
        }
    }
    if !(1..=ORIGIN_WORKERS_MAX).contains(&options.workers) {
        return Err(format!("--workers is a number from 1 to {ORIGIN_WORKERS_MAX}").into());
    }
    Ok(Command::Origin(options))
}

/// `20ms`, `5s`: milliseconds or seconds.
fn duration(text: &str) -> Result<Duration, lexopt::Error> {
    let number = |digits: &str| digits.parse::<u32>().ok();
    let parsed = match (text.strip_suffix("ms"), text.strip_suffix('s')) {
        (Some(digits), _) => number(digits).map(|ms| Duration::from_millis(ms.into())),
        (None, Some(digits)) => number(digits).map(|s| Duration::from_secs(s.into())),
        (None, None) => None,
    };
    parsed.ok_or_else(|| format!("`{text}` is no duration; write 20ms or 1s").into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, String> {
        parse(line.split_whitespace().map(OsString::from)).map_err(|failure| match failure {
            Failure::Usage(what) => what,
            other => panic!("{other:?}"),
        })
    }

    #[test]
    fn commands_take_their_own_options_and_no_others() {
        assert_eq!(parsed("run -c a.yaml"), Ok(Command::Run { file: "a.yaml".into() }));
        assert_eq!(parsed("check --config=a.yaml"), Ok(Command::Check { file: "a.yaml".into() }));
        assert_eq!(parsed("schema"), Ok(Command::Schema));
        assert_eq!(parsed("--help"), Ok(Command::Help));
        for line in ["", "dance", "run", "run -x", "schema more", "check -c", "demo --seconds x"] {
            assert!(parsed(line).is_err(), "{line}");
        }
    }

    #[test]
    fn the_origin_takes_durations_and_bounds() {
        let Ok(Command::Origin(options)) = parsed("origin --token-interval 5ms --workers 2") else {
            panic!("an origin");
        };
        assert_eq!((options.token_interval, options.workers), (Duration::from_millis(5), 2));
        assert!(parsed("origin --token-interval 5").is_err());
        assert!(parsed("origin --workers 0").is_err());
        assert!(parsed("demo --address 192.0.2.1:80").is_err(), "loopback only");
    }
}
