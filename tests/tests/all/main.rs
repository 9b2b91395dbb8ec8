//! The one integration-test binary: each module is a promise of the README.
//! It is a folder with a `main.rs` because Cargo would make a binary of every file beside it.

#[cfg(test)]
mod alarms;
#[cfg(test)]
mod attacks;
#[cfg(test)]
mod auditor;
#[cfg(test)]
mod backups;
#[cfg(test)]
mod beacon;
#[cfg(test)]
mod benchmarks;
#[cfg(test)]
mod blobs;
#[cfg(test)]
mod buckets;
#[cfg(test)]
mod cluster;
#[cfg(test)]
mod contracts;
#[cfg(test)]
mod da;
#[cfg(test)]
mod demo;
#[cfg(test)]
mod eas;
#[cfg(test)]
mod explain;
#[cfg(test)]
mod exports;
#[cfg(test)]
mod factories;
#[cfg(test)]
mod flight;
#[cfg(test)]
mod foreign;
#[cfg(test)]
mod funding;
#[cfg(test)]
mod generations;
#[cfg(test)]
mod hot;
#[cfg(test)]
mod house;
#[cfg(test)]
mod inbox;
#[cfg(test)]
mod keys;
#[cfg(test)]
mod kill;
#[cfg(test)]
mod late;
#[cfg(test)]
mod ledgers;
#[cfg(test)]
mod limits;
#[cfg(test)]
mod lists;
#[cfg(test)]
mod manual;
#[cfg(test)]
mod mappings;
#[cfg(test)]
mod metrics;
#[cfg(test)]
mod operate;
#[cfg(test)]
mod overflow;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod readers;
#[cfg(test)]
mod reorgs;
#[cfg(test)]
mod rules;
#[cfg(test)]
mod season;
#[cfg(test)]
mod slow;
#[cfg(test)]
mod sql;
#[cfg(test)]
mod state;
#[cfg(test)]
mod subscriptions;
#[cfg(test)]
mod traces;
#[cfg(test)]
mod trees;
