//! The pages about the house are true: who imports whom, where `unsafe` stands, how long files are.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "to panic is how a test reports")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// Crate to its folder, from the workspace's members.
fn members() -> BTreeMap<String, PathBuf> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let list = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    list.split('"')
        .skip(1)
        .step_by(2)
        .map(|folder| (folder.rsplit('/').next().unwrap().to_owned(), root().join(folder)))
        .collect()
}

/// What a manifest's `[dependencies]` name of our own crates.
fn imports(folder: &Path, ours: &BTreeSet<String>) -> BTreeSet<String> {
    let manifest = std::fs::read_to_string(folder.join("Cargo.toml")).unwrap();
    let section = manifest.split("[dependencies]").nth(1).unwrap_or_default();
    let section = section.split("\n[").next().unwrap_or_default();
    section
        .lines()
        .filter_map(|line| line.split(['.', ' ', '=']).next())
        .filter(|name| ours.contains(*name))
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_table_of_imports_is_that_of_the_manifests() {
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    let section =
        page.split("## Who may import whom").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: BTreeMap<String, BTreeSet<String>> = section
        .lines()
        .filter(|line| line.starts_with("| ") && !line.starts_with("| crate"))
        .map(|line| {
            let cells: Vec<&str> = line.split('|').map(str::trim).collect();
            let allowed = cells[2].split(", ").filter(|name| *name != "-").map(str::to_owned);
            (cells[1].to_owned(), allowed.collect())
        })
        .collect();
    let members = members();
    let ours: BTreeSet<String> = members.keys().cloned().collect();
    assert_eq!(rows.keys().cloned().collect::<BTreeSet<_>>(), ours);
    for (name, folder) in &members {
        let imported = imports(folder, &ours);
        assert_eq!(imported, rows[name], "{name}: the manifest on the left, the page on the right");
    }
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        if path.is_dir() && name != "target" && !name.to_string_lossy().starts_with('.') {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn unsafe_stands_in_net_only_and_each_block_says_why() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    assert!(files.len() > 50, "the sources are found");
    for file in files {
        let text = std::fs::read_to_string(&file).unwrap();
        let code = |line: &&str| {
            let line = line.trim_start();
            !line.starts_with("//") && (line.contains("unsafe {") || line.contains("unsafe impl"))
        };
        let has_unsafe = text.lines().any(|line| code(&line));
        let is_net = file.starts_with(root().join("dataplane/net"));
        let is_this = file.ends_with("tests/architecture.rs");
        assert!(!has_unsafe || is_net || is_this, "{} has unsafe code", file.display());
    }
}

#[test]
fn no_file_is_longer_than_a_reader_can_take() {
    let mut files = Vec::new();
    sources(&root(), &mut files);
    for file in files {
        let lines = std::fs::read_to_string(&file).unwrap().lines().count();
        assert!(lines <= 800, "{} has {lines} lines", file.display());
    }
}
