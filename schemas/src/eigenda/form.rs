//! What the elements of an encoded payload are.

use serde::{Deserialize, Serialize};

/// What the elements of an encoded payload are. A certificate does not say it, so it is configuration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Values at the roots of unity: what proxies do unless told otherwise.
    #[default]
    Evaluations,
    /// Coefficients: a proxy run with point evaluation disabled.
    Coefficients,
}

impl Form {
    /// The one that is not this.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Evaluations => Self::Coefficients,
            Self::Coefficients => Self::Evaluations,
        }
    }
}
