//! Configuration text to every diagnostic to an immutable snapshot. Pure.
