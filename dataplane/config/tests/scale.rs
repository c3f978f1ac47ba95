//! What loading and compiling cost by the number of routes. The bound is for optimised builds.

use std::fmt::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

fn document(routes: usize) -> String {
    let mut text = String::from(
        "listeners: [ { name: web, address: '127.0.0.1:8080' } ]\n\
         upstreams: [ { name: app, endpoints: [ { address: '10.0.0.1:80' } ] } ]\nroutes:\n",
    );
    for n in 0..routes {
        let host = n / 2;
        let _ = writeln!(
            text,
            "  - name: route-{n}\n    match: {{ hosts: [ h{host}.example.com ], \
             path: {{ prefix: /v{n}/ }} }}\n    backends: [ {{ upstream: app }} ]\n    \
             timeouts: {{ request: 30s }}"
        );
    }
    text
}

#[test]
fn ten_thousand_routes_load_and_compile_in_under_a_second() {
    let text = document(10_000);
    let started = Instant::now();
    let document = config::load(&text, "scale.yaml", &|_| None, Path::new("/")).unwrap();
    let loaded = started.elapsed();
    let snapshot = config::compile(&document, 1, &mut config::Slots::new()).unwrap();
    let elapsed = started.elapsed();
    println!("{} routes: loaded in {loaded:?}, compiled in {elapsed:?}", snapshot.routes.len());
    assert_eq!(snapshot.routes.len(), 10_000);
    // Unoptimised code is some ten times slower; there the bound only catches what is quadratic.
    let bound = if cfg!(debug_assertions) { 15 } else { 1 };
    assert!(elapsed < Duration::from_secs(bound), "{elapsed:?}");
}
