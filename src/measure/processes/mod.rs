//! Other processes of this machine: which they are, and what they use (read from `/proc`, `proc(5)`); and starting one
//! that ends with this one.

pub mod bound;
pub mod family;
pub mod holder;
pub mod member;
pub mod meter;
pub mod owner;
mod socket_table;
pub mod usage;
