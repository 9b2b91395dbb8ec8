//! GraphQL and SQL over published snapshots, and archived blobs.
//!
//! This room reads what the indexer and accounting published and writes nothing. In the order a request travels:
//!
//! 1. [`serve()`]: who asks, whether there is room, which route; [`limits`]: what one client may ask for; [`keys`]: who
//!    may ask for more;
//! 2. `graphql`: a body or query string becomes one request; [`guard`]: what it costs, judged before anything expands
//!    it, so that no document takes longer to refuse than to read; documents that were judged before are known. An
//!    answer has its fields in the query's order;
//! 3. `pinned`: the newest snapshot, held for as long as the request reads: its graph in memory (`world`), its tables
//!    in an SQL session (`session`), what each thing earned (`earned`), what accounts are owed (`standing`), and, as
//!    nothing in it changes, what queries and whole requests were answered;
//! 4. `view`: that snapshot at one block (`asOf`, or the block of a cursor, or the sealed head), up to the last epoch
//!    settled there; `schema`: the objects of GraphQL, which read through their view and nothing else,
//!    with one query for however many of them ask the same; `filter`: what `where` and `orderBy` mean;
//! 5. `provenance` and `layout`: the graph around one thing, walked within bounds and laid out in integers;
//! 6. [`sql_gate`]: the one gate for SQL, whichever way it comes: `POST /v1/sql`, `tributary sql`, Arrow Flight SQL
//!    (`flight`), PostgreSQL's protocol (`postgres`).
//!    SQL sees what is sealed and, only where a query names the schema `hot`, facts of the blocks above
//!    (`schemas/tables/hot.md`): those of the follower's tail at the moment the query is planned, joined by hash to the
//!    snapshot's sealed block, or a refusal that says what to do. They may be taken back, so such an answer names the block
//!    it went up to: `asOf.tail` and `x-tributary-tail-*` over HTTP, metadata of the schema over Flight SQL and in Arrow, a
//!    warning over PostgreSQL. Only the process that follows has them: it offers its tails in [`ApiConfig::hot`].
//!
//! Whoever takes things home uses `/exports` (`serve::exports`): the published files as they lie, and `exchange`, which
//! writes provenance as PROV, `CycloneDX` and Croissant, and statements as CSV, JSON and Parquet.
//!
//! Subscriptions ([`serve()`]'s streams, over WebSocket and as server-sent events) pass the same guard and quota; `live`
//! watches the tail's feed and the newest snapshot for all of them, and each reads on from its own sequence number.
//!
//! Archived blobs go another way: `GET /get/0x00<keccak256>`, the route of an EigenDA proxy, reads one from the archive
//! and hashes it again, for op-nodes and other followers to fall back on (`serve::blobs`).
//!
//! Every other answer says at which block, hash, log root, finality and snapshot it was computed (INV-10): in
//! `extensions.asOf`, with the fields that asked for another block named under `fields`. Money is never a float. A
//! refusal has a code of the closed set [`ErrorCode`] and the id of the request; causes stay in the log.
//!
//! What is not here: no write handle, no link to the indexer, no clock of our own (deadlines are tokio's, quotas
//! governor's), no environment.

mod earned;
mod error;
mod exchange;
mod filter;
#[cfg(test)]
mod fixture;
mod flight;
mod graphql;
pub mod guard;
mod kept;
pub mod keys;
mod layout;
pub mod limits;
mod live;
mod page;
mod pinned;
mod postgres;
mod provenance;
pub mod rows;
mod scalar;
mod schema;
mod serve;
mod session;
pub mod sql_gate;
mod standing;
mod view;
mod world;

pub use error::{ApiError, ErrorCode, Refusal};
pub use exchange::{Graph, GraphWalk, ProvenanceForm, StatementForm, graph, provenance, write_statement};
pub use schema::sdl;
pub use serve::{ApiConfig, Assets, Bound, Documents, serve};
pub use view::{Token, Tokens};

#[cfg(test)]
mod tests {
    /// The committed schema is the schema. When it is not, the test writes a fresh one and names it.
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
