//! Everything that must hold: what the tests share.
//!
//! [`anvil`] starts a real chain on a free port, [`suite`] deploys the reference contracts on it and gives typed
//! bindings, [`chain`] is both with blobs, [`generated`] knows the committed files that are made from code, [`program`]
//! runs `tributary` as a process, [`follower`] as one that is asked, [`manual`] asks it for its help, [`shared`] finds
//! real data beside the project, [`local`] serves what stands for others. The tests themselves are one binary,
//! `tests/all/`. They need the tools that `tests/run` installs and fail, rather than skip, where these are absent.

pub mod anvil;
pub mod audit;
pub mod auditor;
pub mod blobs;
pub mod chain;
pub mod commit;
pub mod decoding;
pub mod engines;
pub mod follower;
pub mod fuzz_seeds;
pub mod generated;
pub mod lists;
pub mod local;
pub mod manual;
pub mod measure;
pub mod program;
pub mod pruned;
pub mod python;
pub mod s3;
pub mod serving;
pub mod settle_bench;
pub mod share;
pub mod shared;
pub mod spray;
pub mod suite;
pub mod tables;
pub mod unwind;
pub mod world;
