//! GraphQL and SQL over published snapshots.

mod earned;
mod error;
#[cfg(test)]
mod fixture;
mod graphql;
pub mod guard;
mod layout;
pub mod limits;
mod page;
mod pinned;
mod provenance;
pub mod rows;
mod scalar;
mod schema;
mod serve;
mod session;
pub mod sql_gate;
mod view;
mod world;

pub use error::{ApiError, ErrorCode, Refusal};
pub use schema::sdl;
pub use serve::{ApiConfig, Assets, Bound, serve};
pub use view::{Token, Tokens};

#[cfg(test)]
mod tests {
    /// The committed schema is the schema; `UPDATE=1` is not read here (the environment belongs to the cli): copy the
    /// file the test names.
    #[test]
    fn the_committed_schema_is_the_schema() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../schemas/graphql/schema.graphql");
        let committed = std::fs::read_to_string(path).unwrap_or_default();
        if committed != super::sdl() {
            let fresh = std::env::temp_dir().join("tributary.schema.graphql");
            std::fs::write(&fresh, super::sdl()).unwrap();
            panic!("schemas/graphql/schema.graphql is not the schema: compare with {} and commit it", fresh.display());
        }
    }
}
