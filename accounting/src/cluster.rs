//! The heavy step on other machines.
//!
//! A settlement is a few rows of money and graph, worked on in memory, and one pass over its records. That pass as SQL is
//! `sum(cascade(…)) … GROUP BY` flow and target, over two tables: what is to be divided, and `attributions`. A session
//! that carries a [`Cluster`] has that plan done by the cluster, everything else stays here. The sums are of the same
//! integers, so the digest is the same; a test says so.
//!
//! How plans travel, and how files come to where workers read them, is the caller's: this crate opens no socket.

use datafusion::prelude::SessionContext;
use futures::future::BoxFuture;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::error::AccountingError;

/// Makes files of this machine readable for workers.
pub trait Inputs: Debug + Send + Sync {
    /// Files of a table: they never change, and are asked for again and again. Gives the URL of each, or why not.
    fn table<'a>(&'a self, table: &'a str, files: &'a [PathBuf]) -> BoxFuture<'a, Result<Vec<String>, String>>;

    /// A file that one job needs.
    fn job<'a>(&'a self, file: &'a Path) -> BoxFuture<'a, Result<String, String>>;

    /// That the file given to [`Inputs::job`] is needed no more.
    fn done<'a>(&'a self, file: &'a Path) -> BoxFuture<'a, ()>;
}

type Sessions = dyn Fn() -> Result<SessionContext, AccountingError> + Send + Sync;

/// Other machines that do the heavy step.
pub struct Cluster {
    name: String,
    sessions: Box<Sessions>,
    inputs: Box<dyn Inputs>,
    folder: PathBuf,
}

impl Debug for Cluster {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster").field("name", &self.name).field("inputs", &self.inputs).finish_non_exhaustive()
    }
}

impl Cluster {
    /// A cluster. `name` is said in errors; plans of what `sessions` makes are run by it, and know
    /// [`cascade`](crate::engine::cascade_udf) and [`sum_checked`](crate::engine::sum_checked); `folder` is for the files
    /// of jobs, and made when absent.
    pub fn new(
        name: String,
        sessions: impl Fn() -> Result<SessionContext, AccountingError> + Send + Sync + 'static,
        inputs: impl Inputs + 'static,
        folder: PathBuf,
    ) -> Self {
        Self { name, sessions: Box::new(sessions), inputs: Box::new(inputs), folder }
    }

    /// Lets a session carry the cluster: what is settled in it is divided there.
    pub fn carry(self: &Arc<Self>, ctx: &SessionContext) {
        ctx.state_ref().write().config_mut().set_extension(Arc::clone(self));
    }

    /// The cluster that a session carries.
    pub(crate) fn of(ctx: &SessionContext) -> Option<Arc<Self>> {
        ctx.state_ref().read().config().get_extension::<Self>()
    }

    pub(crate) fn session(&self) -> Result<SessionContext, AccountingError> {
        (self.sessions)()
    }

    pub(crate) fn inputs(&self) -> &dyn Inputs {
        self.inputs.as_ref()
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn failed(&self, what: impl Into<String>) -> AccountingError {
        AccountingError::Cluster { cluster: self.name.clone(), what: what.into() }
    }
}
