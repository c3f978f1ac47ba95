//! Black box, simulation, architecture.
