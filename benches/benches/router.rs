//! What finding a route costs, in tables small and large, and what an empty chain of edits does.
#![allow(missing_docs, clippy::unwrap_used, reason = "criterion's macros; to panic is to report")]

use std::hint::black_box;

use criterion::{Criterion, criterion_group, criterion_main};
use policy::route::{HostPattern, PathPattern, RouteMatch, RouteQuery, RouteTableBuilder};

struct Request {
    host: String,
    path: &'static str,
}

impl RouteQuery for Request {
    fn host(&self) -> &[u8] {
        self.host.as_bytes()
    }
    fn path(&self) -> &[u8] {
        self.path.as_bytes()
    }
    fn method(&self) -> &[u8] {
        b"GET"
    }
    fn query(&self) -> Option<&[u8]> {
        None
    }
    fn header(&self, _: &[u8]) -> Option<&[u8]> {
        None
    }
}

fn find(c: &mut Criterion) {
    let mut group = c.benchmark_group("route_find");
    for routes in [1u32, 1_000, 100_000] {
        let mut builder = RouteTableBuilder::new();
        for index in 0..routes {
            let host = format!("tenant-{}.example.com", index / 2);
            let path = if index % 2 == 0 { "/" } else { "/v1/chat/completions" };
            let wanted = RouteMatch {
                hosts: vec![HostPattern::parse(&host).unwrap()],
                path: PathPattern::Prefix(path.to_owned()),
                ..RouteMatch::default()
            };
            builder.add(index, &wanted).unwrap();
        }
        let table = builder.build().unwrap();
        let host = format!("tenant-{}.example.com", routes / 4);
        let request = Request { host, path: "/v1/chat/completions" };
        group.bench_function(format!("{routes}_routes"), |b| {
            b.iter(|| table.find(black_box(&request)).unwrap());
        });
    }
    group.finish();
}

fn edits(c: &mut Criterion) {
    let mut edits = filters::Edits::default();
    c.bench_function("edits_set_and_clear", |b| {
        b.iter(|| {
            edits.clear();
            edits.set(black_box(b"x-env"), b"prod");
            black_box(edits.drops(b"x-env"))
        });
    });
}

criterion_group!(benches, find, edits);
criterion_main!(benches);
