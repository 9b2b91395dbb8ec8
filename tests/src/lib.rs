//! Everything that must hold.
