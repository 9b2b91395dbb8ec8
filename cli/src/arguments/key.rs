//! The arguments of `tributary key`.

use clap::{Args, Subcommand};

use super::Source;

#[derive(Debug, Subcommand)]
pub(crate) enum Key {
    Create(KeyCreate),
    List(KeyList),
    Revoke(KeyRevoke),
}

impl Key {
    pub(crate) const fn source(&self) -> &Source {
        match self {
            Self::Create(arguments) => &arguments.source,
            Self::List(arguments) => &arguments.source,
            Self::Revoke(arguments) => &arguments.source,
        }
    }
}

/// Makes an API key and prints its secret, once; whoever sends it as `authorization: Bearer SECRET` has a quota of its
/// own, `api.key_rate_units`. Only a hash is kept, in the data folder.
#[derive(Debug, Args)]
pub(crate) struct KeyCreate {
    /// Whose it is, for people
    pub(crate) name: String,
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON object
    #[arg(long)]
    pub(crate) json: bool,
}

/// Lists API keys by id, without their secrets.
#[derive(Debug, Args)]
pub(crate) struct KeyList {
    #[command(flatten)]
    pub(crate) source: Source,
    /// One JSON array
    #[arg(long)]
    pub(crate) json: bool,
}

/// Revokes an API key: running servers refuse it at once.
#[derive(Debug, Args)]
pub(crate) struct KeyRevoke {
    /// Its id
    pub(crate) id: String,
    #[command(flatten)]
    pub(crate) source: Source,
}
