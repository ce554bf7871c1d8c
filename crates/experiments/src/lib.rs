//! Presets, sweeps and the studies.
