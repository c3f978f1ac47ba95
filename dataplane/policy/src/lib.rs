//! Decisions: routes, balancing, limits. Pure.
