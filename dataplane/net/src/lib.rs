//! Runtimes: native ring, portable, simulated. Moves bytes and time, holds no opinion on either.
