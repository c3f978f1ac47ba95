//! From checked values to what a snapshot is made of, with the checks that look at more than one value.

mod filter;
mod listener;
mod process;
mod route;
mod upstream;

use std::collections::HashMap;
use std::path::Path;

use crate::diagnostic::{Diagnostics, Place};
use crate::document::Plan;
use crate::snapshot::Upstream;
use crate::tree::shorten;
use crate::value::{Item, Record};

/// What lowering one part knows of the rest.
pub(crate) struct Lowering<'c> {
    pub(crate) problems: &'c mut Diagnostics,
    /// The folder that relative paths are counted from.
    pub(crate) base_dir: &'c Path,
    /// Stretches of the text that hold credentials, in characters.
    pub(crate) masked: Vec<(usize, usize)>,
    /// Upstreams by name.
    upstreams: HashMap<String, u32>,
}

/// Lowers a whole document.
pub(crate) fn document(
    root: &Record,
    base_dir: &Path,
    problems: &mut Diagnostics,
) -> (Plan, Vec<(usize, usize)>) {
    let mut lowering =
        Lowering { problems, base_dir, masked: Vec::new(), upstreams: HashMap::new() };
    let settings = process::settings(root, &mut lowering);
    let listeners = listener::listeners(root, &mut lowering, settings.admin.as_ref());
    let upstreams: Vec<Upstream> = named(root.item("upstreams"), "upstream", lowering.problems)
        .map(|record| upstream::upstream(record, &mut lowering))
        .collect();
    let by_name = (0..).zip(&upstreams).filter(|(_, one)| !one.name.is_empty());
    lowering.upstreams = by_name.map(|(at, one)| (one.name.clone(), at)).collect();
    let routes = route::routes(root, &mut lowering);
    (Plan { settings, listeners, upstreams, routes }, lowering.masked)
}

/// The objects of a list, after a report of each name that another one has had before.
fn named<'r>(
    list: &'r Item,
    what: &str,
    problems: &mut Diagnostics,
) -> impl Iterator<Item = &'r Record> + use<'r> {
    let mut first: HashMap<&str, Place> = HashMap::new();
    for record in list.list().iter().filter_map(Item::record) {
        let name = record.item("name");
        let Some(text) = name.text() else { continue };
        match first.get(text) {
            Some(before) => problems.report(
                name.place,
                format!("another {what} is called `{}`, at {before}", shorten(text)),
                "a name of its own",
            ),
            None => {
                first.insert(text, name.place);
            }
        }
    }
    list.list().iter().filter_map(Item::record)
}

/// A path of the file system, relative ones joined to the folder of the document.
fn joined(path: &str, lowering: &Lowering<'_>) -> std::path::PathBuf {
    lowering.base_dir.join(path)
}
