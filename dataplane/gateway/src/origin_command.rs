//! `ringgate origin`: the built-in web origin and model server.

use std::path::Path;
use std::thread::Builder;

use control::listening::patiently;
use net::{Address, BindOptions, BoundSocket, Options};
use origin::Settings;

use crate::arguments::OriginOptions;
use crate::failure::Failure;

/// Serves until the process ends.
pub(crate) fn run(options: &OriginOptions) -> Result<(), Failure> {
    let _ = rlimit::increase_nofile_limit(u64::MAX);
    let at = address(&options.address)?;
    let sockets = bind(&at, options.workers)?;
    if let Some(first) = sockets.first() {
        eprintln!("ringgate: origin {} on {}", options.name, first.address());
    }
    let threads: Vec<_> = sockets
        .into_iter()
        .map(|socket| {
            let settings =
                Settings { name: options.name.clone(), token_interval: options.token_interval };
            serve(socket, settings)
        })
        .collect::<Result<_, _>>()?;
    for thread in threads {
        let ended = thread.join();
        if ended.is_err() {
            return Err(Failure::Host("the origin has died; its message stands above".to_owned()));
        }
    }
    Ok(())
}

/// Starts one thread that serves a socket: on the ring where it can start, else portably.
pub(crate) fn serve(
    socket: BoundSocket,
    settings: Settings,
) -> Result<std::thread::JoinHandle<()>, Failure> {
    let options = Options::default();
    Builder::new()
        .name("origin".into())
        .spawn(move || match net::native::Runtime::new(&options) {
            Ok(runtime) => runtime.run(|net| origin::serve(net, vec![socket], settings)),
            Err(_) => match net::portable::Runtime::new(options, net::portable::Driver::Legacy) {
                Ok(runtime) => runtime.run(|net| origin::serve(net, vec![socket], settings)),
                Err(error) => eprintln!("ringgate: the origin cannot start: {error}"),
            },
        })
        .map_err(|error| Failure::Host(format!("cannot start a thread: {error}")))
}

fn address(text: &str) -> Result<Address, Failure> {
    match text.strip_prefix("unix:") {
        Some(path) => Ok(Address::Unix(Path::new(path).into())),
        None => text.parse().map(Address::Tcp).map_err(|_| {
            Failure::Usage(format!("`{text}` is no address; write 127.0.0.1:8081 or unix:PATH"))
        }),
    }
}

/// One socket per worker.
fn bind(at: &Address, workers: usize) -> Result<Vec<BoundSocket>, Failure> {
    let refused =
        |error: std::io::Error| Failure::Host(format!("the origin cannot listen on {at}: {error}"));
    let options = BindOptions { reuse_port: workers > 1, ..BindOptions::default() };
    let first = patiently(|| BoundSocket::bind(at, &options)).map_err(refused)?;
    let mut sockets = vec![first];
    while sockets.len() < workers {
        let next = match sockets.first() {
            Some(first) if matches!(at, Address::Unix(_)) => first.try_clone(),
            Some(first) => BoundSocket::bind(first.address(), &options),
            None => break,
        };
        sockets.push(next.map_err(refused)?);
    }
    Ok(sockets)
}
