//! `where` and `orderBy`: conditions on rows, the same whether the rows lie in memory or in tables.
//!
//! A condition on something that a row does not have is false, and its `not` is true: there is no third answer.

use async_graphql::{Enum, InputObject};

use crate::error::{ErrorCode, Refusal};
use crate::scalar::{AddressText, BigInt, Bytes32};

/// Most comparisons of one `where`.
const TESTS_MAX: usize = 200;

/// What a row has in a field.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Datum {
    /// Nothing.
    Null,
    /// Text: ids and addresses in lower case.
    Text(String),
    /// An integer.
    Number(i128),
    /// Yes or no.
    Truth(bool),
}

impl From<&str> for Datum {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

impl From<i64> for Datum {
    fn from(number: i64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Option<i64>> for Datum {
    fn from(number: Option<i64>) -> Self {
        number.map_or(Self::Null, Self::from)
    }
}

impl Datum {
    /// As a literal of SQL.
    fn literal(&self) -> String {
        match self {
            Self::Null => "NULL".to_owned(),
            Self::Text(text) => quoted(text),
            Self::Number(number) => match i64::try_from(*number) {
                Ok(number) => number.to_string(),
                Err(_) => format!("CAST('{number}' AS DECIMAL(38, 0))"),
            },
            Self::Truth(truth) => truth.to_string(),
        }
    }
}

/// A text as a literal of SQL.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', "''"))
}

/// A comparison.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Test {
    /// It is one of these.
    Among(Vec<Datum>),
    /// It is larger than this.
    Above(Datum),
    /// It is this or larger.
    AtLeast(Datum),
    /// It is smaller than this.
    Below(Datum),
    /// It is this or smaller.
    AtMost(Datum),
    /// It is text that contains this, in any case.
    Contains(String),
}

impl Test {
    fn holds(&self, found: &Datum) -> bool {
        match self {
            _ if *found == Datum::Null => false,
            Self::Among(wanted) => wanted.contains(found),
            Self::Above(bound) => found > bound,
            Self::AtLeast(bound) => found >= bound,
            Self::Below(bound) => found < bound,
            Self::AtMost(bound) => found <= bound,
            Self::Contains(part) => {
                matches!(found, Datum::Text(text) if text.to_lowercase().contains(&part.to_lowercase()))
            }
        }
    }

    fn sql(&self, column: &str) -> String {
        let compared = |by: &str, bound: &Datum| format!("{column} {by} {}", bound.literal());
        let test = match self {
            Self::Among(wanted) if wanted.is_empty() => return "false".to_owned(),
            Self::Among(wanted) => {
                let wanted = wanted.iter().map(Datum::literal).collect::<Vec<_>>().join(", ");
                format!("{column} IN ({wanted})")
            }
            Self::Above(bound) => compared(">", bound),
            Self::AtLeast(bound) => compared(">=", bound),
            Self::Below(bound) => compared("<", bound),
            Self::AtMost(bound) => compared("<=", bound),
            Self::Contains(part) => format!("strpos(lower({column}), lower({})) > 0", quoted(part)),
        };
        format!("coalesce({test}, false)")
    }
}

/// A condition on a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Condition {
    /// All of these hold.
    All(Vec<Self>),
    /// One of these holds.
    Any(Vec<Self>),
    /// This does not hold.
    Not(Box<Self>),
    /// What a field has to be.
    Field(&'static str, Test),
}

impl Condition {
    /// What was asked for, within bounds; everything where nothing was.
    pub(crate) fn of(asked: Option<impl Into<Self>>) -> Result<Self, Refusal> {
        let condition = asked.map_or_else(|| Self::All(Vec::new()), Into::into);
        let tests = condition.tests();
        if tests > TESTS_MAX {
            let message = format!("where has {tests} comparisons: expected at most {TESTS_MAX}");
            return Err(Refusal::new(ErrorCode::TooLarge, message));
        }
        Ok(condition)
    }

    fn tests(&self) -> usize {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().map(|part| part.tests().saturating_add(1)).sum(),
            Self::Not(part) => part.tests().saturating_add(1),
            Self::Field(_, Test::Among(wanted)) => std::cmp::max(wanted.len(), 1),
            Self::Field(..) => 1,
        }
    }

    /// Whether it holds for a row, whose fields `found` knows by the names of their columns.
    pub(crate) fn holds(&self, found: &impl Fn(&str) -> Datum) -> bool {
        match self {
            Self::All(parts) => parts.iter().all(|part| part.holds(found)),
            Self::Any(parts) => parts.iter().any(|part| part.holds(found)),
            Self::Not(part) => !part.holds(found),
            Self::Field(column, test) => test.holds(&found(column)),
        }
    }

    /// As SQL over columns of these names.
    pub(crate) fn sql(&self) -> String {
        let joined = |parts: &[Self], by: &str, none: &str| match parts {
            [] => none.to_owned(),
            parts => format!("({})", parts.iter().map(Self::sql).collect::<Vec<_>>().join(by)),
        };
        match self {
            Self::All(parts) => joined(parts, " AND ", "true"),
            Self::Any(parts) => joined(parts, " OR ", "false"),
            Self::Not(part) => format!("NOT {}", part.sql()),
            Self::Field(column, test) => test.sql(column),
        }
    }
}

/// What one field may be asked to be.
trait Tests {
    fn tests(self) -> Vec<Test>;
}

impl Tests for bool {
    fn tests(self) -> Vec<Test> {
        vec![Test::Among(vec![Datum::Truth(self)])]
    }
}

macro_rules! comparisons {
    ($($(#[doc = $doc:literal])* $name:ident of $value:ty, $datum:expr, { $($(#[doc = $said:literal])* $field:ident: $kind:ty => $test:expr,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default, InputObject)]
        pub(crate) struct $name {
            /// It is this.
            eq: Option<$value>,
            /// It is one of these.
            r#in: Option<Vec<$value>>,
            $($(#[doc = $said])* $field: Option<$kind>,)*
        }
        impl Tests for $name {
            fn tests(self) -> Vec<Test> {
                let datum: fn($value) -> Datum = $datum;
                let mut tests = Vec::new();
                tests.extend(self.eq.map(|value| Test::Among(vec![datum(value)])));
                tests.extend(self.r#in.map(|values| Test::Among(values.into_iter().map(datum).collect())));
                $({
                    let test: fn(fn($value) -> Datum, $kind) -> Test = $test;
                    tests.extend(self.$field.map(|value| test(datum, value)));
                })*
                tests
            }
        }
    )*};
}
comparisons! {
    /// What an address has to be.
    AddressWhere of AddressText, |address| Datum::Text(address.lower()), {}
    /// What an id or a hash has to be.
    Bytes32Where of Bytes32, |hash| Datum::Text(tributary_schemas::column::hex_text(hash.0)), {}
    /// What a text has to be.
    StringWhere of String, Datum::Text, {
        /// It contains this, in any case.
        contains: String => |_, part| Test::Contains(part),
    }
    /// What an integer has to be.
    IntWhere of i64, |number| Datum::Number(number.into()), {
        /// It is larger than this.
        gt: i64 => |datum, bound| Test::Above(datum(bound)),
        /// It is this or larger.
        gte: i64 => |datum, bound| Test::AtLeast(datum(bound)),
        /// It is smaller than this.
        lt: i64 => |datum, bound| Test::Below(datum(bound)),
        /// It is this or smaller.
        lte: i64 => |datum, bound| Test::AtMost(datum(bound)),
    }
    /// What an amount has to be, in base units.
    BigIntWhere of BigInt, |number| number.0.parse().map_or(Datum::Null, Datum::Number), {
        /// It is larger than this.
        gt: BigInt => |datum, bound| Test::Above(datum(bound)),
        /// It is this or larger.
        gte: BigInt => |datum, bound| Test::AtLeast(datum(bound)),
        /// It is smaller than this.
        lt: BigInt => |datum, bound| Test::Below(datum(bound)),
        /// It is this or smaller.
        lte: BigInt => |datum, bound| Test::AtMost(datum(bound)),
    }
}

macro_rules! filters {
    ($($(#[doc = $doc:literal])* $name:ident { $($(#[doc = $said:literal])* $field:ident: $kind:ty = $column:literal,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Debug, Clone, Default, InputObject)]
        pub(crate) struct $name {
            $($(#[doc = $said])* $field: Option<$kind>,)*
            /// All of these hold too.
            and: Option<Vec<$name>>,
            /// One of these holds too.
            or: Option<Vec<$name>>,
            /// This does not hold.
            not: Option<Box<$name>>,
        }
        impl From<$name> for Condition {
            fn from(asked: $name) -> Self {
                let mut all = Vec::new();
                $(all.extend(asked.$field.into_iter().flat_map(Tests::tests).map(|test| Self::Field($column, test)));)*
                all.extend(asked.and.into_iter().flatten().map(Self::from));
                all.extend(asked.or.map(|any| Self::Any(any.into_iter().map(Self::from).collect())));
                all.extend(asked.not.map(|not| Self::Not(Box::new(Self::from(*not)))));
                Self::All(all)
            }
        }
    )*};
}
filters! {
    /// Which datasets. Everything that is given holds.
    DatasetWhere {
        /// Owner.
        owner: AddressWhere = "owner",
        /// Text form of the id.
        text_id: StringWhere = "text_id",
        /// Licence id.
        license: StringWhere = "license",
        /// public, permissioned or private.
        visibility: StringWhere = "visibility",
        /// Number of the last version.
        last_version: IntWhere = "last_version",
        /// First block of its state.
        since_block: IntWhere = "valid_from_block",
    }
    /// Which models. Everything that is given holds.
    ModelWhere {
        /// Owner.
        owner: AddressWhere = "owner",
        /// Text form of the id.
        text_id: StringWhere = "text_id",
        /// base, finetune, adapter, merge, quantized or distilled.
        kind: StringWhere = "kind",
        /// Number of the last version.
        last_version: IntWhere = "last_version",
        /// First block of its state.
        since_block: IntWhere = "valid_from_block",
    }
    /// Which agents. Everything that is given holds.
    AgentWhere {
        /// Owner.
        owner: AddressWhere = "owner",
        /// Text form of the id.
        text_id: StringWhere = "text_id",
        /// Number of the last version.
        last_version: IntWhere = "last_version",
        /// First block of its state.
        since_block: IntWhere = "valid_from_block",
    }
    /// Which contributions. Everything that is given holds.
    ContributionWhere {
        /// Who contributed it.
        contributor: AddressWhere = "contributor",
        /// submitted, approved, rejected, flagged or removed.
        state: StringWhere = "state",
        /// Licence id.
        license: StringWhere = "license",
        /// Quality the last reviewer gave.
        quality: IntWhere = "quality",
        /// Rows in it.
        row_count: IntWhere = "row_count",
        /// Bytes in it.
        byte_count: IntWhere = "byte_count",
        /// Block it was submitted at.
        submitted_block: IntWhere = "submitted_block",
    }
    /// Which accounts. Everything that is given holds.
    AccountWhere {
        /// The account.
        address: AddressWhere = "account",
        /// What it earned of `token` (the native token by default).
        earned: BigIntWhere = "earned",
    }
    /// Which epochs. Everything that is given holds.
    EpochWhere {
        /// Number.
        number: IntWhere = "epoch",
        /// Its first block.
        first_block: IntWhere = "first_block",
        /// Its last block.
        last_block: IntWhere = "last_block",
    }
    /// Which blobs. Everything that is given holds.
    BlobWhere {
        /// verified, void or missing.
        status: StringWhere = "status",
        /// keccak, certificate or unknown.
        form: StringWhere = "form",
        /// How far the reference was verified.
        level: StringWhere = "level",
        /// batch or manifest.
        owner_kind: StringWhere = "owner_kind",
        /// Id of the batch or dataset version.
        owner_id: Bytes32Where = "owner_id",
        /// Account that had it dispersed.
        dispersed_by: AddressWhere = "dispersed_by",
        /// Block of the reference.
        block: IntWhere = "block_number",
        /// Epoch of the reference.
        epoch: IntWhere = "epoch",
    }
    /// Which batches. Everything that is given holds.
    AttributionBatchWhere {
        /// resolved, malformed, unavailable, final, rejected or superseded.
        state: StringWhere = "state",
        /// Whether a challenge is open.
        challenged: bool = "challenged",
        /// Who committed it.
        producer: AddressWhere = "producer",
        /// The hub.
        hub: AddressWhere = "hub",
        /// Block of the reference.
        block: IntWhere = "reference_block",
        /// Epoch of the reference.
        epoch: IntWhere = "epoch",
    }
    /// Which payments. Everything that is given holds.
    PaymentWhere {
        /// Who paid.
        payer: AddressWhere = "payer",
        /// Token.
        token: AddressWhere = "token",
        /// Vault that received it.
        vault: AddressWhere = "vault",
        /// Id of the version that was paid for.
        subject: Bytes32Where = "subject_id",
        /// Inference or batch it names.
        reference: Bytes32Where = "reference",
        /// asserted, vault, transfer or value.
        backing: StringWhere = "backing",
        /// Base units.
        amount: BigIntWhere = "amount",
        /// Block it was paid in.
        block: IntWhere = "block_number",
        /// Epoch of that block.
        epoch: IntWhere = "epoch",
    }
}

/// Which way a list goes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
pub(crate) enum OrderDirection {
    /// Smallest first.
    #[default]
    Asc,
    /// Largest first.
    Desc,
}

impl OrderDirection {
    /// As SQL.
    pub(crate) const fn sql(self) -> &'static str {
        match self {
            Self::Asc => "ASC",
            Self::Desc => "DESC",
        }
    }
}

/// What datasets, models and agents are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
pub(crate) enum EntityOrderField {
    /// Registration.
    #[default]
    Registered,
    /// Text form of the id.
    TextId,
    /// First block of its state.
    SinceBlock,
    /// What came through it in all settled epochs, of `token`.
    Earned,
}

/// How datasets, models and agents are ordered; among equals by registration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, InputObject)]
pub(crate) struct EntityOrder {
    /// By what.
    pub(crate) field: EntityOrderField,
    /// Which way.
    #[graphql(default)]
    pub(crate) direction: OrderDirection,
    /// For EARNED: the token, the native one by default.
    pub(crate) token: Option<AddressText>,
}

/// What contributions are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
pub(crate) enum ContributionOrderField {
    /// Registration.
    #[default]
    Registered,
    /// Rows in it.
    RowCount,
    /// Quality the last reviewer gave; those without come first.
    Quality,
    /// What came through it in all settled epochs, of `token`.
    Earned,
}

/// How contributions are ordered; among equals by registration.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, InputObject)]
pub(crate) struct ContributionOrder {
    /// By what.
    pub(crate) field: ContributionOrderField,
    /// Which way.
    #[graphql(default)]
    pub(crate) direction: OrderDirection,
    /// For EARNED: the token, the native one by default.
    pub(crate) token: Option<AddressText>,
}

/// What payments are ordered by.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Enum)]
pub(crate) enum PaymentOrderField {
    /// The order in which they were paid.
    #[default]
    Position,
    /// Base units.
    Amount,
}

/// How payments are ordered; among equals in the order in which they were paid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, InputObject)]
pub(crate) struct PaymentOrder {
    /// By what.
    pub(crate) field: PaymentOrderField,
    /// Which way.
    #[graphql(default)]
    pub(crate) direction: OrderDirection,
}

#[cfg(test)]
mod tests;
