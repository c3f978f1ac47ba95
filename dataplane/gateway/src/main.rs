//! The `ringgate` binary: arguments and wiring, nothing else.

fn main() {}
