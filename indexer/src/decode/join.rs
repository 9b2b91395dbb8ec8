//! Finding the log that a rule joins, among those of its transaction that back nothing yet.

use std::collections::BTreeSet;

use super::abi::Arg;
use super::eval::{At, BuildError, Field, Source};
use crate::VerifiedLog;
use crate::mapping::{Expr, Join, On, Place, Root};

/// Logs of a transaction that back a payment, by their index in the block: each backs one.
pub(super) type Spent = BTreeSet<u32>;

/// The first log that fits, and its arguments.
pub(super) fn find<'l>(
    join: &'l Join,
    logs: impl Iterator<Item = &'l VerifiedLog>,
    spent: &Spent,
    source: &Source<'_>,
) -> Result<Option<(&'l VerifiedLog, Vec<Arg<'l>>)>, BuildError> {
    for log in logs {
        let fits = log.topics.first() == Some(&join.topic0)
            && log.topics.len() == join.shape.topic_count()
            && join.emitters.accept(&log.address)
            && !spent.contains(&log.log_index);
        if !fits {
            continue;
        }
        source.charge(log.data.len())?;
        let Ok(args) = join.shape.decode(&log.topics, &log.data) else { continue };
        let mut agrees = true;
        for (place, on) in &join.on {
            agrees = agrees && holds(place, on, &args, source)?;
        }
        if agrees {
            return Ok(Some((log, args)));
        }
    }
    Ok(None)
}

fn holds(place: &Place, on: &On, args: &[Arg<'_>], source: &Source<'_>) -> Result<bool, BuildError> {
    let theirs = Source { args, ..*source };
    let place = Expr::Arg(Place { root: Root::Log, ..place.clone() });
    let expr = match on {
        On::Is(test) => return theirs.passes(&place, test, &At::NOWHERE),
        On::Same(expr) => expr,
    };
    let theirs = Field { expr: &place, source: &theirs, at: &At::NOWHERE }.value()?;
    let ours = Field { expr, source, at: &At::NOWHERE }.value()?;
    theirs.same(&ours)
}
