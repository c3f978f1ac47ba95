//! How the process ends when it cannot do what was asked.

use std::process::ExitCode;

use config::Diagnostic;

/// Why, and with which exit code.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The configuration or the request is wrong: exit code 1.
    Wrong(Vec<String>),
    /// The command line is wrong: exit code 2.
    Usage(String),
    /// The host refused something: exit code 3.
    Host(String),
}

impl Failure {
    /// All problems of a document.
    pub(crate) fn from_problems(problems: &[Diagnostic]) -> Failure {
        Failure::Wrong(problems.iter().map(Diagnostic::to_string).collect())
    }

    /// Tells the operator, on standard error, and gives the exit code.
    pub(crate) fn report(&self) -> ExitCode {
        match self {
            Failure::Wrong(lines) => {
                for line in lines {
                    eprintln!("{line}");
                }
                let count = lines.len();
                let noun = if count == 1 { "problem" } else { "problems" };
                eprintln!("ringgate: {count} {noun}; nothing was done");
                ExitCode::from(1)
            }
            Failure::Usage(what) => {
                eprintln!("ringgate: {what}; see `ringgate --help`");
                ExitCode::from(2)
            }
            Failure::Host(what) => {
                eprintln!("ringgate: {what}");
                ExitCode::from(3)
            }
        }
    }
}
