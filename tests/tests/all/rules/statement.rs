//! Statements of accounts, as an accountant would check them.
//!
//! ```text
//! | ACCOUNT FROM to TO: OPENING, EPOCH CODE UNITS, …, CLOSING    of the usual token, over all vaults
//! ```
//!
//! Lines of an epoch are in the order of what they are and of their units: that of their ids says nothing to a reader.

use std::collections::BTreeSet;
use tributary_accounting::{StatementLine, StatementOf, statement};
use tributary_schemas::money;
use tributary_tests::audit;
use tributary_tests::tables::{Shape, context};
use tributary_tests::world::{World, token};

use super::check;
use super::scene::Scene;

impl Scene {
    /// Checks a line that begins with `|`.
    pub(super) async fn check_statement(&mut self, line: &str) {
        let (asked, expected) = line.split_once(": ").unwrap();
        let words: Vec<&str> = asked.split_whitespace().collect();
        let ["|", name, from, "to", to] = words.as_slice() else { panic!("{asked:?} asks for no statement") };
        let epochs = (from.parse().unwrap(), to.parse().unwrap());
        let ctx = context(Shape::default(), &self.facts, &self.money);
        let (account, token) = (self.account(name).parse().unwrap(), token(2).parse().unwrap());
        let stated = statement(&ctx, StatementOf { account, token, epochs, vault: None }).await.unwrap();
        let mut lines: Vec<&StatementLine> = stated.lines.iter().collect();
        lines.sort_by_key(|line| (line.epoch, &line.code, line.amount));
        let mut found = vec![stated.opening.to_string()];
        found.extend(lines.iter().map(|line| format!("{} {} {}", line.epoch, line.code, line.amount)));
        found.push(stated.closing.to_string());
        assert_eq!(found.join(", "), expected.trim_end(), "{asked}");
        let sum: i128 = stated.lines.iter().map(|line| line.amount).sum();
        assert_eq!(stated.opening + sum, stated.closing, "{asked}");
    }
}

#[tokio::test]
async fn what_was_claimed_beyond_what_was_due_stays_on_the_statement() {
    check(
        "policy data 100
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 60 by dave for bot
         settle
           alice data apples 60
           | alice 0 to 0: 0, 0
           | alice 1 to 1: 0, 1 credit 60, 60
         claim 40 by alice
         claim 30 by alice             # ten more than is due
         settle
           nothing
           ~ alice 60 claimed 70 nothing open
           = payable 0
           = receivable:alice 10
           | alice 2 to 2: 60, 2 claim -40, 2 claim -20, 2 claim -10, -10
           | alice 1 to 2: 0, 1 credit 60, 2 claim -40, 2 claim -20, 2 claim -10, -10
         batch b2
           bot: apples 1
         pay 25 by dave for bot
         settle                        # ten of it are paid already
           alice data apples 25
           ~ alice 85 claimed 70
           = payable 25
           = receivable:alice 10
           | alice 3 to 3: -10, 3 credit 25, 15
         claim 15 by alice             # what is left
         settle
           nothing
           ~ alice 85 claimed 85 nothing open
           = payable 10                # set against what she owes
           = receivable:alice 10
           | alice 4 to 4: 15, 4 claim -15, 0
         claim 5 by alice
         batch b3
           bot: apples 1
         pay 1 by dave for bot
         settle
           alice data apples 1
           = payable 11
           = receivable:alice 15
           | alice 5 to 5: 0, 5 claim -5, 5 credit 1, -4
           | alice 3 to 5: -10, 3 credit 25, 4 claim -15, 5 claim -5, 5 credit 1, -4
           | carol 1 to 5: 0, 0",
    )
    .await;
}

#[tokio::test]
async fn a_statement_has_no_lines_for_epochs_before_and_after_it() {
    check(
        "policy data 100 challenge 3 resolve 4
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot about b1
         settle                        # it waits, and is not owed yet
           alice pending:data apples 100
           | alice 1 to 1: 0, 0
         wait 2
         settle
           alice posted 100
           | alice 2 to 2: 0, 2 credit 100, 100
           | alice 1 to 2: 0, 2 credit 100, 100
         settle
           nothing
           | alice 3 to 3: 100, 100
           | alice 2 to 3: 0, 2 credit 100, 100",
    )
    .await;
}

/// Over any epochs, of any account and token: what the positions say at both ends, and entries that lead from one to the
/// other. The product refuses a statement that does not add up, vault by vault.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_of_random_worlds_follow_each_other() {
    let (mut lines, mut below_zero) = (0, 0);
    for seed in 0..12 {
        let world = World::new(seed);
        let mut all = money::Rows::default();
        let keep = |_, _: &_, rows: &money::Rows| {
            all = rows.clone();
            Ok(())
        };
        audit::run(&world, Shape::default(), keep).await.unwrap();
        let ctx = context(Shape::default(), &world.facts, &all);
        let (first, last) = (world.epochs[0], *world.epochs.last().unwrap());
        let accounts: BTreeSet<(&String, &String)> = all.claims.iter().map(|row| (&row.account, &row.token)).collect();
        for (account, token) in accounts {
            let (account, token) = (account.parse().unwrap(), token.parse().unwrap());
            let whole =
                statement(&ctx, StatementOf { account, token, epochs: (first, last), vault: None }).await.unwrap();
            assert_eq!(whole.opening, 0, "seed {seed}");
            let mut parts = Vec::new();
            let mut closing = 0;
            for epoch in &world.epochs {
                let part = statement(&ctx, StatementOf { account, token, epochs: (*epoch, *epoch), vault: None })
                    .await
                    .unwrap();
                assert_eq!(part.opening, closing, "seed {seed}: {account} in epoch {epoch}");
                closing = part.closing;
                below_zero += i32::from(closing < 0 && part.opening >= 0);
                parts.extend(part.lines);
            }
            assert_eq!((closing, &parts), (whole.closing, &whole.lines), "seed {seed}: {account}");
            lines += parts.len();
        }
    }
    assert!(lines > 100 && below_zero > 0, "{lines} lines, {below_zero} accounts that owe");
}
