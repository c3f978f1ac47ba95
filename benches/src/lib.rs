//! In-process benches: codecs and router.
