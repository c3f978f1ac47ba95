//! Whole-system load: null relay, SSE load, measuring.
