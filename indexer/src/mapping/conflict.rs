//! What rules do to each other: money counted twice, facts said twice, rules that nothing reaches.

use super::{Emitters, Problem, Revenue, Rule, Test};

/// Leaves out rules that say of all their logs what a rule of an earlier file says: files are made to be combined.
pub(super) fn leave_out_repeated(rules: &mut Vec<Rule>, places: &mut Vec<(&str, usize)>) {
    let repeats: Vec<bool> = (0..rules.len())
        .map(|at| (0..at).any(|earlier| places[at].0 != places[earlier].0 && rules[at].repeats(&rules[earlier])))
        .collect();
    let mut kept = repeats.iter();
    rules.retain(|_| !kept.next().copied().unwrap_or_default());
    let mut kept = repeats.iter();
    places.retain(|_| !kept.next().copied().unwrap_or_default());
}

/// The problems between rules; `places` are their files and lines.
pub(super) fn between(rules: &[Rule], places: &[(&str, usize)]) -> Vec<Problem> {
    let mut problems = Vec::new();
    for (at, rule) in rules.iter().enumerate() {
        let mut say = |reason: String| {
            let (file, line) = places.get(at).copied().unwrap_or(("", 0));
            problems.push(Problem::new(file, line, &rule.name, reason));
        };
        if rule.blocks.is_empty() {
            let (from, to) = (rule.blocks.start(), rule.blocks.end());
            say(format!("is never reached: it begins at block {from} and ends at block {to}"));
        }
        if rule.late
            && rules.get(at + 1..).is_some_and(|later| later.iter().any(|one| one.same_event(rule) && !one.late))
        {
            say("asks about entities: expected it after the rules of the same event that do not".to_owned());
        }
        for earlier in &rules[..at] {
            if let Some(reason) = rule.conflict(earlier) {
                say(reason);
                break;
            }
        }
    }
    problems
}

impl Rule {
    fn repeats(&self, earlier: &Self) -> bool {
        let heard = match (&earlier.emitters, &self.emitters) {
            (Emitters::Any, _) => true,
            (Emitters::Listed(list, _), Emitters::Listed(ours, _)) => !ours.is_empty() && ours.is_subset(list),
            (Emitters::Children(family), Emitters::Children(ours)) => family == ours,
            _ => false,
        };
        let said = |rule: &Self| {
            let conditions = (
                &rule.conditions,
                &rule.unless_zero,
                &rule.each,
                &rule.on_behalf_of,
                &rule.blocks,
                &rule.join,
                &rule.call,
                &rule.dedupe,
            );
            format!("{:?} {:?} {:?} {conditions:?}", rule.kind, rule.revenue, rule.fields)
        };
        heard && self.same_event(earlier) && said(self) == said(earlier)
    }

    fn backed(&self) -> bool {
        self.join.as_ref().is_some_and(|join| !join.optional)
    }

    fn same_event(&self, other: &Self) -> bool {
        self.topic0 == other.topic0 && self.shape.topic_count() == other.shape.topic_count()
    }

    /// What is wrong with having both; generations of one rule are no two rules.
    fn conflict(&self, earlier: &Self) -> Option<String> {
        let name = &earlier.name;
        if self.source == earlier.source {
            return self.same_event(earlier).then(|| "lists one event twice".to_owned());
        }
        if self.name == earlier.name {
            return Some("the name is taken by an earlier rule".to_owned());
        }
        let together = self.blocks.start() <= earlier.blocks.end() && earlier.blocks.start() <= self.blocks.end();
        if !together {
            return None;
        }
        if self.counts_what_reports(earlier) || earlier.counts_what_reports(self) {
            return Some(format!(
                "one of it and rule {name:?} counts transfers to a contract whose own reports of revenue the other \
                 counts, so one payment could be recognised twice: expected payees that report nothing, or \
                 revenue = \"ignore\" on one of them"
            ));
        }
        if !self.emitters.meet(&earlier.emitters) {
            return None;
        }
        let same_log = self.same_event(earlier) && !self.excludes(earlier);
        let both = (self.revenue, earlier.revenue);
        match both {
            (Some(Revenue::Recognise), Some(Revenue::Recognise)) if same_log => Some(format!(
                "recognises as revenue what rule {name:?} recognises: expected revenue = \"ignore\" on one of them"
            )),
            // What each joins backs one payment, so these are different payments.
            (Some(Revenue::Recognise), Some(Revenue::Recognise)) if self.backed() && earlier.backed() => None,
            (Some(Revenue::Recognise), Some(Revenue::Recognise)) if !self.same_event(earlier) => Some(format!(
                "its emitter reports revenue by rule {name:?} too, so one payment could be recognised twice: expected \
                 revenue = \"distribution\" or \"ignore\" on one of them, or emitters that differ"
            )),
            _ if same_log && self.kind.is_some() && self.kind == earlier.kind && self.each == earlier.each => {
                Some(format!("says of the same logs what rule {name:?} says: expected conditions that tell them apart"))
            }
            _ => None,
        }
    }

    /// Whether it counts a token's transfers to a contract, as payments of that contract, whose reports `other` counts.
    /// What `other` joins to a transfer is no such report: a log backs one payment.
    fn counts_what_reports(&self, other: &Self) -> bool {
        let recognises = |rule: &Self| rule.revenue == Some(Revenue::Recognise);
        let Some(payee) = self.on_behalf_of.as_ref().filter(|_| recognises(self) && recognises(other)) else {
            return false;
        };
        !other.backed()
            && other.on_behalf_of.is_none()
            && self.conditions.iter().any(|(expr, test)| {
                let of_payee = format!("{expr:?}") == format!("{payee:?}");
                of_payee && matches!(test, Test::OneOf(list) if list.iter().any(|one| other.emitters.accept(one)))
            })
    }

    /// Whether conditions of both cannot hold of one log.
    fn excludes(&self, other: &Self) -> bool {
        self.conditions.iter().any(|(expr, test)| {
            other.conditions.iter().any(|(other_expr, other_test)| {
                let same = format!("{expr:?}") == format!("{other_expr:?}");
                same && match (test, other_test) {
                    (Test::Is(one), Test::Is(another)) => one != another,
                    (Test::OneOf(one), Test::OneOf(another)) => {
                        !one.is_empty() && !another.is_empty() && one.is_disjoint(another)
                    }
                    _ => false,
                }
            })
        })
    }
}

impl Emitters {
    /// Whether one contract can be both; a role is itself, whoever has it, and what is named is nobody's child.
    fn meet(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Any, _) | (_, Self::Any) => true,
            (Self::Listed(one, roles), Self::Listed(another, other_roles)) => {
                !one.is_disjoint(another) || !roles.is_disjoint(other_roles)
            }
            (Self::Children(_), Self::Children(_)) => true,
            (Self::Listed(..), Self::Children(_)) | (Self::Children(_), Self::Listed(..)) => false,
        }
    }
}
