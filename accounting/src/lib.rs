//! Settlement: payments to shares to payouts to journal to root, to the unit.
