//! An embedded, seeded L2, L1 and EigenDA that speak the real wire protocols.
