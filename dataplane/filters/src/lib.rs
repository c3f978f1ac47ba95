//! One feature of the exchange per file. Pure.
