//! Follow, verify, decode, append, seal.
