//! The web application of Tributary, embedded: pages over `POST /graphql` of the same origin.
//!
//! - **Overview**: how far the chain was followed and settled, money by token (revenue = credited + held), recent epochs
//!   with their roots, the accounts that earned most.
//! - **Map** (`#/map/<id>`): the graph around a node, one hop at first, further by depth or by expanding, as of any block,
//!   without what little money ran through. A selected node lights everything it was made from, each edge as wide as the
//!   money that ran along it; a table beside the drawing holds the same nodes, edges and selection.
//! - **Accounts** (`#/account/<address>`): what is owed, earnings by group, the lines that explain them and their sum,
//!   taken apart down to inferences, payments, blocks and blobs, and the Merkle proof, hashed in the browser up to the root.
//! - **Epochs** (`#/epoch/<number>`): conservation by vault and token, roots, and the money as a river from what was paid
//!   for to contributors, with who kept what did not flow on.
//! - **Datasets, models, agents** (`#/dataset/<id>` …): lists, and of each its versions, what these were made from, and
//!   where its money goes.
//! - **Blobs** (`#/blob/<hash>`): what batches and manifests refer to, and how far each was verified; **Blocks**: what
//!   carries a block on L1.
//! - **Proofs** (`#/proof`): of an account, of a file, or of a link that holds the whole proof.
//! - **Status**: heads, what is waited for, alarms, endpoints, invariants, counters.
//! - **`GraphiQL`** (`/graphiql`), vendored: a page of its own, of which the others load nothing.
//!
//! Every view has a link, every picture a table with the same content, every table its CSV.
//!
//! The sources are Svelte and TypeScript beside this file; what they build to is committed in `dist/`, so that building
//! this crate needs no Node. `build.sh` makes it anew, `check.sh` proves that it is what the sources say: the build has
//! no timestamps and no paths in it.
//!
//! In the order the data travels: `graphql.svelte.ts` asks, `live.svelte.ts` hears over one WebSocket when asking again is
//! worthwhile, `queries.ts` and `queries/` say what, `money.ts` keeps amounts as integers from the wire to the screen,
//! `merkle.ts` verifies, `map/scene.ts` turns an answer into a picture that `map/canvas.ts` draws, dot by dot
//! (`map/raster.ts`), as fast without a graphics card as with one, `epoch/river.ts` turns movements into a river,
//! `explain/drill.ts` an explanation into a tree whose levels add up, `pages/` shows.
//!
//! This crate knows no other room; the server asks it for [`asset`]s by path. Nothing here is fetched from elsewhere: the
//! pages work under [`CONTENT_SECURITY_POLICY`].

#[cfg(test)]
mod tests;

use std::borrow::Cow;

use rust_embed::RustEmbed;

/// What the pages need, and nothing more: no inline script or style, no other origin. The dialogs of `GraphiQL` also set
/// inline styles, which a server that gives its page must allow.
pub const CONTENT_SECURITY_POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self'; \
    img-src 'self' data:; connect-src 'self'; object-src 'none'; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// The file at `path` (with or without a leading slash) and its media type.
///
/// A path without an extension that names no page is a deep link and gets the first one; a missing file with an
/// extension is `None`, so that a stale script name is an honest 404 and not a page of HTML.
#[must_use]
pub fn asset(path: &str) -> Option<(&'static str, Cow<'static, [u8]>)> {
    let path = path.trim_start_matches('/');
    let name = path.rsplit('/').next().unwrap_or(path);
    let path = match path {
        "graphiql" => "graphiql.html",
        _ if path.is_empty() || !name.contains('.') => INDEX,
        file => file,
    };
    Dist::get(path).map(|file| (media_type(path), file.data))
}

/// Whether the file at `path` never changes, because its name holds the hash of what is in it: a client may keep it
/// forever.
#[must_use]
pub fn immutable(path: &str) -> bool {
    path.trim_start_matches('/').starts_with("assets/")
}

const INDEX: &str = "index.html";

#[derive(RustEmbed)]
#[folder = "dist/"]
struct Dist;

fn media_type(path: &str) -> &'static str {
    match path.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("json") => "application/json",
        Some("txt") => "text/plain; charset=utf-8",
        _ => "application/octet-stream",
    }
}
