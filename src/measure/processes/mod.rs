//! Other processes of this machine: which they are, and what they use (read from `/proc`, `proc(5)`); and starting one
//! that ends with this one.

pub mod bound;
pub mod family;
pub mod holder;
pub mod meter;
pub mod owner;
pub mod process_id;
mod socket_table;
pub mod usage;
