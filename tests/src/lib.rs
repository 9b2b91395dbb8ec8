//! Everything that must hold: what the tests share.

pub mod generated;
