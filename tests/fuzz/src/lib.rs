//! What the fuzz targets share. Each target is a file of `targets/`; `run` runs them all.

pub mod cuts;
pub mod labels;
pub mod power;
