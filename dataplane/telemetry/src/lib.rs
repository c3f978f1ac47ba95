//! Per-core counters, histograms, access log.
