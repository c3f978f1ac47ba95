//! In-process benches: `cargo bench -p benches`. What they run on stands in `benches/`.
