//! The manifest against a model, with reopenings in between.
