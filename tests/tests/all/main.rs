//! The one integration-test binary: each module is a promise of the README.
//! It is a folder with a `main.rs` because Cargo would make a binary of every file beside it.

#[cfg(test)]
mod contracts;
#[cfg(test)]
mod house;
