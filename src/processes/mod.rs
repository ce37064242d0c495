//! Other processes of this machine: which they are, and what they use. Read from `/proc` (`proc(5)`).

pub mod family;
pub mod holder;
pub mod member;
pub mod meter;
pub mod owner;
pub mod usage;
