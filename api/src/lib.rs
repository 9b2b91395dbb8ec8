//! GraphQL and SQL over published snapshots.
