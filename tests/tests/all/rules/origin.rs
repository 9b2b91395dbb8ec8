//! What lines came from, as an accountant would check it.
//!
//! ```text
//! > ACCOUNT ROLE [THING]: PLACE UNITS, …            by inference: `batch/ordinal`, or `none`
//! > ACCOUNT ROLE [THING] in PLACE: p1 UNITS, …      by payment: p1, p2, …, or `fund` for that of a pool
//! > ACCOUNT ROLE [THING] of PLACE: THING UNITS, …   by record: what it is about, `#n` for a row; `none` for no record
//! ```

use tributary_accounting::explain::below;
use tributary_accounting::{Explainer, Origins, Stand};
use tributary_schemas::money::EntitlementRow;
use tributary_tests::tables::{Shape, context};
use tributary_tests::world::token;

use super::check;
use super::scene::{Scene, units};

impl Scene {
    /// Checks a line that begins with `>`.
    pub(super) async fn check_origin(&mut self, line: &str) {
        let (asked, expected) = line.split_once(": ").unwrap();
        let words: Vec<&str> = asked.split_whitespace().skip(1).collect();
        let (line, level) = match words.iter().position(|word| ["in", "of"].contains(word)) {
            Some(at) => (&words[..at], Some((words[at], words[at + 1]))),
            None => (&words[..], None),
        };
        let ctx = context(Shape::default(), &self.facts, &self.money);
        let account = self.account(line[0]).parse().unwrap();
        let of = (account, token(2).parse().unwrap(), self.epoch);
        let origins = Explainer::default().origins(&ctx, of, |row| self.is_line(row, &line[1..])).await.unwrap();
        let found = match level {
            None => origins.inferences().iter().map(|(stand, units)| (self.place(*stand), *units)).collect(),
            Some(("in", place)) => {
                let list = origins.payments(Some(self.stand(&origins, place)));
                let rows = below::payments(&ctx, &list).await.unwrap();
                rows.iter().map(|row| (self.payer(row.of.payment.as_deref()), row.amount)).collect()
            }
            Some((_, place)) => {
                let list = origins.records(self.stand(&origins, place));
                let rows = below::records(&ctx, &list).await.unwrap();
                rows.iter().map(|row| (self.record(&row.of), row.amount)).collect::<Vec<_>>()
            }
        };
        let expected: Vec<(String, i128)> = expected
            .split(", ")
            .map(|part| part.split_once(' ').map(|(name, sum)| (name.to_owned(), units(sum))).unwrap())
            .collect();
        assert_eq!(found, expected, "{asked} after epoch {}", self.epoch);
    }

    fn is_line(&self, row: &EntitlementRow, words: &[&str]) -> bool {
        let ids = [&row.contribution_id, &row.model_version_id, &row.agent_version_id];
        let thing = ids.into_iter().flatten().next().and_then(|id| self.things.get(id));
        row.role == words[0] && words.get(1).is_none_or(|name| thing.is_some_and(|thing| thing == name))
    }

    fn place(&self, stand: Stand) -> String {
        let Some((batch_sk, ordinal)) = stand.inference else { return "none".to_owned() };
        let name = self.keys.iter().find(|((kind, _), sk)| *kind == "batch" && **sk == batch_sk);
        name.map(|((_, name), _)| format!("{name}/{ordinal}")).unwrap()
    }

    fn stand(&self, origins: &Origins, place: &str) -> Stand {
        let all: Vec<String> = origins.inferences().iter().map(|(stand, _)| self.place(*stand)).collect();
        let at = all.iter().position(|one| one == place);
        origins.inferences()[at.unwrap_or_else(|| panic!("{place} is not among {all:?}"))].0
    }

    fn payer(&self, id: Option<&str>) -> String {
        let at = id.map(|id| self.facts.payments.iter().position(|row| row.payment_id == id).unwrap());
        at.map_or_else(|| "fund".to_owned(), |at| format!("p{}", at + 1))
    }

    fn record(&self, of: &below::Record) -> String {
        let Some(id) = &of.target_id else { return "none".to_owned() };
        let row = of.row.map(|row| format!("#{row}")).unwrap_or_default();
        format!("{}{row}", self.things.get(id).unwrap())
    }
}

#[tokio::test]
async fn a_line_of_data_is_taken_back_to_answers_payments_and_records() {
    check(
        "policy data 100
         data apples of fruit by alice
         data pears of fruit by pat
         model base by bob
         batch b1
           base fee 3: apples 20, apples#1 10, pears 10
           base fee 1: apples 10
         pay 400 by dave for base              # over both answers, as three to one
         pay 100 by erin for base about b1/1
         settle
           alice data apples 425
           pat data pears 75
           > alice data apples: b1/0 225, b1/1 200
           > alice data apples in b1/0: p1 225
           > alice data apples in b1/1: p1 100, p2 100
           > alice data apples of b1/0: apples 150, apples#1 75
           > pat data pears: b1/0 75",
    )
    .await;
}

#[tokio::test]
async fn lines_of_other_channels_are_taken_back_to_payments() {
    check(
        "policy platform 10 agent 20 model 40 data 30 pass 50
         data apples of fruit by alice
         model base by bob
         model tuned by tess on base
         agent bot by carol uses tuned
         batch b1
           bot: apples 1
         pay 1000 by dave for bot
         pay 500 by erin for base
         settle
           treasury platform 162
           carol agent bot 200
           tess model tuned 200
           bob lineage base 200
           bob model base 250
           suspense no_manifest base 188
           alice data apples 300
           > carol agent bot: none 200
           > carol agent bot in none: p1 200
           > tess model tuned in none: p1 200
           > bob lineage base in none: p1 200
           > bob model base in none: p2 250",
    )
    .await;
}

#[tokio::test]
async fn what_waited_is_taken_back_over_the_epoch_that_booked_it() {
    check(
        "policy data 100 challenge 3 resolve 4
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot about b1
         settle
           alice pending:data apples 100
           > alice pending:data apples: b1/0 100
           > alice pending:data apples in b1/0: p1 100
         wait 2
         settle
           alice posted 100
           > alice posted: b1/0 100
           > alice posted in b1/0: p1 100
           > alice posted of b1/0: apples 100",
    )
    .await;
}
