//! Accounting as text: what happens, line by line, and what every close of the books must say.
//!
//! A line is an event in a block of its own; `#` begins a remark. Shares are per cent. Names are whatever a line
//! introduces; an account is a name that nothing else has.
//!
//! ```text
//! policy data 60 model 40 pass 50     a policy for all from here on; see `rules/policy.rs` for its words
//! data apples of fruit by alice rows 3    a contribution; also `copy OTHER` (same content), `stranger` (in no version)
//! model tuned by bob on base 20 trained fruit   a model; `on outside` is based on something not registered
//! agent bot by carol uses tuned 60 base
//! edge tuned on base 30               lineage asserted later
//! batch b1 method m                   records; an answer a line, indented: SUBJECT fee N id ID: TARGET SCORE, …
//!   bot fee 3: apples 30, pears -5, weeds! 9, rows#2 4     (! out of lineage, #n a row)
//! missing b2                          a batch whose blob nobody found, or not before
//! found b2                            now somebody did; records as above
//! free self_dealing to payees         what is held for a reason, also to `payer` or `treasury`
//! challenge b1 · uphold b1 · reject b1 · replace b1
//! pay 100 by dave for bot about b1/0  payments are p1, p2, … ; `about` an answer, a batch or `nothing`; `unbacked`
//! refund 30 of p1 · fund 50 for base (or all; later: epoch 2) · claim 20 by alice
//! stake 10 by erin in base (or all) · slash 4 of erin in base · penalty 50 of alice in fruit (or nothing: everywhere)
//! quarantine alice · release alice · payout alice to wallet · split bot alice 70 bob 30 · transfer base to bob
//! vault holds 70 stake 10              what the vault holds at the close, `usd` for the other token; else nobody looked
//! remove apples · wait 5 · amend p1 about nothing     (a row that changed: no indexer does that)
//! settle                              closes the epoch; then, indented, every line of every statement:
//!   alice data apples 45              account, role, what for (where there is one thing), base units
//!   suspense zero_total bot 5
//!   = payable 45                      the trial balance of an account, as far as it is asked for
//!   ~ alice 45 claimed 20             where an account stands
//!   ? alice based on models outside   words of an explanation
//!   > alice data apples: b1/0 30, b1/1 15    what a line came by, best first; see `rules/origin.rs`
//!   | alice 1 to 2: 0, 1 credit 60, 2 claim -20, 40    a statement; see `rules/statement.rs`
//! ```
//!
//! `anything` stands for lines that nobody would write down; `refused WORDS` for a settlement that must not happen.
//! Every close is settled by the product and by the auditor, which must agree.

use alloy_primitives::{Address, B256, keccak256};
use std::collections::{BTreeMap, BTreeSet};
use tokio::task::JoinSet;
use tributary_accounting::{Input, Settled, explain, settle};
use tributary_schemas::column::hex_text;
use tributary_schemas::facts::Rows;
use tributary_schemas::money;
use tributary_tests::audit::compare;
use tributary_tests::auditor::Auditor;
use tributary_tests::tables::{Shape, context, extend};
use tributary_tests::world::{token, vault};

/// Plays a text; the first thing that is not as it says is the failure. What is indented further than the least indented
/// line (the first apart, which a literal begins with) belongs to the line above it.
pub(crate) async fn check(text: &str) {
    let mut scene = Scene::new();
    let lines: Vec<&str> = text.lines().map(remark_off).filter(|line| !line.trim().is_empty()).collect();
    let base = lines.iter().skip(1).map(|line| indent(line)).min().unwrap_or(0);
    let mut lines = lines.into_iter().peekable();
    while let Some(line) = lines.next() {
        let mut below = Vec::new();
        while let Some(next) = lines.next_if(|next| indent(next) > base) {
            below.push(next.trim());
        }
        let words: Vec<&str> = line.split_whitespace().collect();
        if words[0] == "settle" {
            scene.settle(&below).await;
        } else {
            scene.event(&words, &below);
        }
    }
}

fn indent(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

/// A remark begins with `#` at the beginning of a word (`name#2` is a row of a contribution).
fn remark_off(line: &str) -> &str {
    let at = line.match_indices('#').find(|(at, _)| *at == 0 || line[..*at].ends_with(' '));
    at.map_or(line, |(at, _)| &line[..at])
}

/// Everything that happened so far.
pub(super) struct Scene {
    pub(super) facts: Rows,
    pub(super) money: money::Rows,
    auditor: Auditor,
    input: Input,
    pub(super) epoch: i64,
    pub(super) block: i64,
    pub(super) logs: i64,
    /// Names of accounts, and of ids as the tables have them.
    pub(super) accounts: BTreeMap<String, String>,
    pub(super) things: BTreeMap<String, String>,
    /// Surrogate keys by kind and name.
    pub(super) keys: BTreeMap<(&'static str, String), i64>,
}

impl Scene {
    fn new() -> Self {
        let mut scene = Self {
            facts: Rows::default(),
            money: money::Rows::default(),
            auditor: Auditor::default(),
            input: Input { chain_id: 1612, ..Input::default() },
            epoch: 1,
            block: 0,
            logs: 0,
            accounts: BTreeMap::new(),
            things: BTreeMap::new(),
            keys: BTreeMap::new(),
        };
        scene.add_block();
        scene
    }

    /// The address of a name.
    pub(super) fn account(&mut self, name: &str) -> String {
        let address = hex_text(Address::from_slice(&keccak256(format!("account {name}"))[12..]));
        self.accounts.insert(address.clone(), name.to_owned());
        address
    }

    /// The id of a thing, whose name statements show.
    pub(super) fn id(&mut self, kind: &str, name: &str) -> String {
        let id = hex_text(keccak256(format!("{kind} {name}")));
        self.things.insert(id.clone(), name.to_owned());
        id
    }

    /// The surrogate key of a name: the ordinal within its kind.
    pub(super) fn key(&mut self, kind: &'static str, name: &str) -> i64 {
        if let Some(known) = self.keys.get(&(kind, name.to_owned())) {
            return *known;
        }
        let next = i64::try_from(self.keys.keys().filter(|(one, _)| *one == kind).count()).unwrap();
        self.keys.insert((kind, name.to_owned()), next);
        next
    }

    pub(super) fn known(&self, kind: &'static str, name: &str) -> Option<i64> {
        self.keys.get(&(kind, name.to_owned())).copied()
    }

    /// model or agent, and its surrogate key.
    pub(super) fn subject(&self, name: &str) -> (&'static str, i64) {
        let known = ["model", "agent"].into_iter().find_map(|kind| Some((kind, self.known(kind, name)?)));
        known.unwrap_or_else(|| panic!("{name:?} is neither a model nor an agent"))
    }

    /// The pool or scope of a name; `all` is zero.
    pub(super) fn scope(&mut self, name: &str) -> String {
        if name == "all" {
            return hex_text(B256::ZERO);
        }
        let kinds = ["model", "agent", "dataset", "contribution"];
        let kind = kinds.into_iter().find(|kind| self.known(kind, name).is_some());
        self.id(kind.unwrap_or_else(|| panic!("nothing is called {name:?}")), name)
    }

    async fn settle(&mut self, expected: &[&str]) {
        self.input.epoch = self.epoch;
        self.input.vault_balances = self.readings();
        let settled = self.close().await;
        let settled = match (settled, expected.first().and_then(|line| line.strip_prefix("refused "))) {
            (Err(why), Some(words)) => return assert!(why.contains(words), "{why}: expected {words:?}"),
            (Ok(_), Some(words)) => panic!("epoch {} settled: expected a refusal, {words:?}", self.epoch),
            (settled, None) => settled.unwrap_or_else(|why| panic!("epoch {}: {why}", self.epoch)),
        };
        self.input.ledger_digest = settled.ledger_digest;
        self.input.manifest_hash = Some(settled.manifest_hash);
        extend(&mut self.money, settled.tables.rows());
        let agreed = compare(&self.facts, &mut self.auditor, self.epoch, &settled, &self.money);
        let (asked, lines): (Vec<&str>, Vec<&str>) =
            expected.iter().copied().partition(|line| line.starts_with(['=', '~', '?', '>', '|']));
        let lines: Vec<String> = lines.iter().filter(|line| **line != "nothing").map(|line| spaced(line)).collect();
        if lines != ["anything"] {
            assert_eq!(sorted(self.statements()), sorted(lines), "statements of epoch {}", self.epoch);
        }
        agreed.unwrap_or_else(|difference| panic!("the auditor: {difference}"));
        for line in asked {
            let words: Vec<&str> = line.split_whitespace().collect();
            match words[0] {
                "=" => self.check_balance(words[1], &words[2..]),
                "~" => self.check_standing(words[1], &words[2..]),
                ">" => self.check_origin(line).await,
                "|" => self.check_statement(line).await,
                _ => self.check_explanation(words[1], &words[2..].join(" ")).await,
            }
        }
        self.epoch += 1;
        self.add_block();
    }

    /// The product's settlement, in a task of its own: a broken invariant stops a debug build, which is a refusal too.
    async fn close(&self) -> Result<Settled, String> {
        let (ctx, input) = (context(Shape::default(), &self.facts, &self.money), self.input.clone());
        let mut alone = JoinSet::new();
        alone.spawn(async move { settle(&ctx, &input).await });
        match alone.join_next().await.unwrap() {
            Ok(settled) => settled.map(Option::unwrap).map_err(|error| error.to_string()),
            Err(stopped) => Err(stopped.to_string()),
        }
    }

    /// Lines of the epoch: account, role, thing, base units, token where it is not the usual one.
    fn statements(&self) -> Vec<String> {
        let rows = self.money.entitlements.iter().filter(|row| row.epoch == self.epoch);
        let line = |row: &money::EntitlementRow| {
            let account = self.accounts.get(&row.account).map_or(row.account.as_str(), String::as_str);
            let account = if account.starts_with("suspense:") { "suspense" } else { account };
            let ids = [&row.contribution_id, &row.model_version_id, &row.agent_version_id];
            // Money of a model that an agent uses is the model's; data without a contribution came through the subject.
            let thing = ids.into_iter().flatten().next().and_then(|id| self.things.get(id));
            let thing = thing.map(|name| format!(" {name}")).unwrap_or_default();
            format!("{account} {}{thing} {}{}", row.role, row.amount.0, unit(&row.token))
        };
        rows.map(line).collect()
    }

    fn check_balance(&self, account: &str, expected: &[&str]) {
        let coin = token(2);
        let rows = self.money.balances.iter().filter(|row| row.epoch == self.epoch && row.token == coin);
        let rows = rows.filter(|row| row.vault == vault(0));
        let found = rows.filter(|row| self.readable(&row.account) == account).map(|row| {
            let debits = row.debits_pending.0 + row.debits_posted.0;
            let credits = row.credits_pending.0 + row.credits_posted.0;
            let owns = ["escrow", "distributor"].contains(&account) || account.starts_with("receivable");
            if owns { debits - credits } else { credits - debits }
        });
        let found: i128 = found.sum();
        assert_eq!(found, units(expected[0]), "balance of {account} after epoch {}", self.epoch);
    }

    /// The name of an account of the journal with names for addresses.
    fn readable(&self, account: &str) -> String {
        let named = account.split_once(':').and_then(|(kind, id)| Some(format!("{kind}:{}", self.accounts.get(id)?)));
        named.unwrap_or_else(|| account.to_owned())
    }

    fn check_standing(&mut self, name: &str, expected: &[&str]) {
        let account = self.account(name);
        let rows = self.money.claims.iter().filter(|row| row.epoch == self.epoch && row.account == account);
        let mut lines: Vec<String> = rows
            .map(|row| {
                let claimed = if row.claimed.0 > 0 { format!(" claimed {}", row.claimed.0) } else { String::new() };
                let open = if row.claimable.0 == 0 { " nothing open" } else { "" };
                format!("{}{}{claimed}{open}", row.cumulative.0, unit(&row.token))
            })
            .collect();
        lines.sort();
        let expected = expected.join(" ");
        let mut expected: Vec<String> = expected.split(", ").map(spaced).collect();
        expected.sort();
        assert_eq!(lines, expected, "where {name} stands after epoch {}", self.epoch);
    }

    async fn check_explanation(&mut self, name: &str, words: &str) {
        let ctx = context(Shape::default(), &self.facts, &self.money);
        let (account, token) = (self.account(name).parse().unwrap(), token(2).parse().unwrap());
        let explained = explain(&ctx, account, token, self.epoch).await.unwrap();
        let lines: Vec<&str> = explained.lines.iter().map(|line| line.description.as_str()).collect();
        assert!(lines.iter().any(|line| line.contains(words)), "{lines:?}: expected {words:?}");
    }
}

fn sorted(lines: Vec<String>) -> Vec<String> {
    let lines: BTreeSet<String> = lines.into_iter().collect();
    lines.into_iter().collect()
}

/// One space between words, and numbers without underscores.
fn spaced(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let number = word.starts_with(|c: char| c.is_ascii_digit());
        if number && !word.contains('/') { units(word).to_string() } else { word.to_owned() }
    });
    words.collect::<Vec<_>>().join(" ")
}

fn unit(of: &str) -> &'static str {
    if of == token(2) { "" } else { " usd" }
}

/// Base units: digits with underscores, `10^n`, and a difference of two.
pub(super) fn units(text: &str) -> i128 {
    if let Some((a, b)) = text.split_once('-') {
        return units(a) - units(b);
    }
    let text = text.replace('_', "");
    match text.split_once('^') {
        Some((base, power)) => base.parse::<i128>().unwrap().pow(power.parse().unwrap()),
        None => text.parse().unwrap_or_else(|error| panic!("{text:?} is not a number: {error}")),
    }
}
