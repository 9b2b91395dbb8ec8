//! The log (sled) and the tables (Delta, Parquet) on disk.
