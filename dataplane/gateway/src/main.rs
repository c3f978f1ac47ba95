//! The `ringgate` binary: arguments and wiring, nothing else.

mod arguments;
mod demo;
mod failure;
mod inspect;
mod origin_command;
mod run;
mod runtime_choice;
mod workers;

use std::process::ExitCode;

use arguments::Command;

fn main() -> ExitCode {
    let command = match arguments::parse(std::env::args_os().skip(1)) {
        Ok(command) => command,
        Err(failure) => return failure.report(),
    };
    let done = match command {
        Command::Help => {
            print!("{}", arguments::HELP);
            Ok(())
        }
        Command::Version => {
            println!("ringgate {}", env!("CARGO_PKG_VERSION"));
            Ok(())
        }
        Command::Run { file } => run::run_file(file),
        Command::Check { file } => inspect::check(file),
        Command::Explain { file, request, headers } => inspect::explain(file, &request, &headers),
        Command::Schema => inspect::schema(),
        Command::Demo(options) => demo::run(&options),
        Command::Origin(options) => origin_command::run(&options),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => failure.report(),
    }
}
