//! What a run of load has measured, told: to programs (JSON, CSV), to a person at a terminal, and as a page with pictures.

pub mod axis;
pub mod bars;
pub mod chart;
pub mod human;
pub mod ink;
pub mod page;
