//! Arguments of `explain --by`.

use clap::{Args, ValueEnum};

/// What of an explanation is looked into, and by what. Every list adds up to what it is of.
#[derive(Debug, Args)]
pub(crate) struct Drill {
    /// Sums what is chosen by this, instead of listing the lines
    #[arg(long, value_enum)]
    pub(crate) by: Option<By>,
    /// Only lines of this role
    #[arg(long, requires = "by")]
    pub(crate) role: Option<String>,
    /// Only what came through this dataset: the beginning of its id will do, here and below
    #[arg(long, requires = "by")]
    pub(crate) dataset: Option<String>,
    /// Only what came through this contribution
    #[arg(long, requires = "by")]
    pub(crate) contribution: Option<String>,
    /// Only what came through this model version
    #[arg(long, requires = "by")]
    pub(crate) model: Option<String>,
    /// Only what came through this agent version
    #[arg(long, requires = "by")]
    pub(crate) agent: Option<String>,
    /// What waits for the end of a challenge window, instead of what was earned
    #[arg(long, requires = "by")]
    pub(crate) pending: bool,
    /// Only what came by this inference: its key, as `--by inference` lists it
    #[arg(long, requires = "by")]
    pub(crate) inference: Option<String>,
    /// Most lines to list; the rest is one line
    #[arg(long, requires = "by", default_value_t = 20)]
    pub(crate) first: usize,
    /// Lines to leave out at the beginning
    #[arg(long, requires = "by", default_value_t = 0)]
    pub(crate) skip: usize,
}

/// What an explanation is summed by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum By {
    /// Role
    Role,
    /// Dataset
    Dataset,
    /// Contribution
    Contribution,
    /// Model version
    Model,
    /// Agent version
    Agent,
    /// Batch of attributions, with its block and blob
    Batch,
    /// Inference
    Inference,
    /// Payment, with its transaction, log and block
    Payment,
    /// Record of an inference (`--inference`)
    Record,
}
