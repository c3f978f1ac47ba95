//! `perf-load`: the two ends of a measured proxy.
//!
//! Both ends share one core, the proxy has the other, so each must cost less than the cheapest
//! proxy: one thread, one epoll, no allocation per message. A measured window is cut from outside:
//! every program answers a line on its standard input with one line of JSON, its counters since
//! the line before, and ends when the input does. `scripts/bench` drives them so.
//!
//!     perf-load origin       fixed HTTP/1.1 answers on keep-alive connections
//!     perf-load sse-origin   event streams, one event per stream and interval
//!     perf-load sse-clients  readers of those streams, which check every event
//!     perf-load idle         connections or streams that only stay open

#![forbid(unsafe_code)]

use std::error::Error;
use std::process::ExitCode;

mod commands;
mod connect;
mod delays;
mod event;
mod idle;
mod origin;
mod settings;
mod sse_clients;
mod sse_origin;
mod stream;

use settings::Settings;

fn main() -> ExitCode {
    let mut args = std::env::args().skip(1);
    let outcome = match args.next().as_deref() {
        Some("origin") => run(args, origin::run),
        Some("sse-origin") => run(args, sse_origin::run),
        Some("sse-clients") => run(args, sse_clients::run),
        Some("idle") => run(args, idle::run),
        _ => {
            eprintln!(
                "usage: perf-load origin | sse-origin | sse-clients | idle [--name value ...]"
            );
            return ExitCode::from(2);
        }
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("perf-load: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(
    args: impl Iterator<Item = String>,
    command: fn(Settings) -> Result<(), Box<dyn Error>>,
) -> Result<(), Box<dyn Error>> {
    command(Settings::from_args(args)?)
}
