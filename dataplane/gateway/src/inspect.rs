//! Commands that look at a configuration and run nothing.

use std::path::PathBuf;

use config::Snapshot;
use config::explain::Request;
use control::source::Source;

use crate::failure::Failure;

/// `ringgate check`.
pub(crate) fn check(file: PathBuf) -> Result<(), Failure> {
    let snapshot = compiled(file)?;
    println!(
        "{}: no problems; {} listeners, {} upstreams, {} routes",
        snapshot.source,
        snapshot.listeners.len(),
        snapshot.upstreams.len(),
        snapshot.routes.len()
    );
    Ok(())
}

/// `ringgate explain`.
pub(crate) fn explain(
    file: PathBuf,
    request: &str,
    headers: &[(String, String)],
) -> Result<(), Failure> {
    let Some((method, url)) = request.trim().split_once(' ') else {
        return Err(Failure::Usage("the request is a method, a space and a URL".to_owned()));
    };
    let snapshot = compiled(file)?;
    let request = Request { method, url: url.trim(), headers };
    let text = config::explain(&snapshot, &request)
        .map_err(|error| Failure::Wrong(vec![error.to_string()]))?;
    print!("{text}");
    Ok(())
}

/// `ringgate schema`.
pub(crate) fn schema() -> Result<(), Failure> {
    println!("{}", config::schema());
    Ok(())
}

fn compiled(file: PathBuf) -> Result<Snapshot, Failure> {
    let document =
        Source::File(file).load().map_err(|problems| Failure::from_problems(&problems))?;
    config::compile(&document, 1, &mut config::Slots::new())
        .map_err(|problems| Failure::from_problems(&problems))
}
