//! The graph of one snapshot in memory.

/// A kind of thing that has states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Kind {
    /// A dataset.
    Dataset,
    /// A contribution.
    Contribution,
    /// A model.
    Model,
    /// An agent.
    Agent,
}

impl Kind {
    /// Its word in tables and answers.
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Contribution => "contribution",
            Self::Model => "model",
            Self::Agent => "agent",
        }
    }

    /// A name for people: the kind, the key of the text id, and the version.
    pub(crate) fn label(self, text_id: &str, version: Option<i64>) -> String {
        let key = text_id.rsplit(':').next().unwrap_or(text_id);
        let key = key.get(..10).filter(|_| key.len() > 20).map_or_else(|| key.to_owned(), |head| format!("{head}…"));
        let name = format!("{self} {key}", self = self.as_str());
        version.map_or(name.clone(), |version| format!("{name} v{version}"))
    }
}

/// The words of a flags column.
pub(crate) fn flag_words(flags: &str) -> Vec<String> {
    flags.split(',').filter(|word| !word.is_empty()).map(str::to_owned).collect()
}
