//! Payees, rounding, the journal and the trees by the book.

use alloy_primitives::{Address, B256, U256, keccak256};
use num_bigint::BigUint;
use std::collections::BTreeMap;
use std::str::FromStr;
use tributary_schemas::column::hex_text;
use tributary_schemas::encoding::standard_tree;
use tributary_schemas::policy::Withheld;

use super::held::Freed;
use super::{
    Audit, Auditor, Cut, End, Flows, Hold, Key, LateRefund, Line, PPB, Party, Positions, Pot, Received, big, cascade,
    zero_id,
};

const ROLES: [&str; 8] = ["platform", "agent", "model", "lineage", "data", "staker", "payment", "released"];

/// A movement of money.
#[derive(Debug, Clone)]
pub struct Entry {
    pub(super) vault: String,
    pub(super) token: String,
    pub(super) debit: String,
    pub(super) credit: String,
    pub(super) amount: BigUint,
    pub(super) code: u8,
    pub(super) phase: u8,
    pub(super) source: [u8; 32],
    pub(super) adjusts: Option<i64>,
}

/// Sub-units of a base unit: as many digits as leave room for the total, at most nine.
pub(super) fn scale(total: &BigUint) -> BigUint {
    let digits = u32::try_from(total.to_string().len()).expect("short");
    BigUint::from(10u8).pow(std::cmp::min(9, 38 - digits))
}

fn bytes20(text: &str) -> Address {
    Address::from_str(text).expect("an address")
}
fn bytes32(text: &str) -> [u8; 32] {
    B256::from_str(text).expect("an id").0
}
fn closing(adjusts: Option<i64>) -> [u8; 32] {
    let step = adjusts.map_or_else(|| "close".to_owned(), |epoch| format!("adjust {epoch}"));
    keccak256(format!("trib/step/1{step}")).0
}

type Shares = BTreeMap<Pot, BTreeMap<Party, BTreeMap<Line, BigUint>>>;

/// Splits, penalties, payout addresses, quarantine.
fn payees(cut: &Cut<'_>, flows: Flows) -> Shares {
    let mut out = Shares::new();
    for ((key, hold, line, end), sub) in flows.gross {
        let mut put = |party: Party, sub: BigUint| {
            if sub > BigUint::ZERO {
                let purse = out.entry((key.0.clone(), key.1.clone(), key.3)).or_default();
                *purse.entry(party).or_default().entry(line.clone()).or_default() += sub;
            }
        };
        match end {
            End::Suspense(reason) => put((true, format!("suspense:{reason}")), sub),
            End::Direct(account) => put((false, account), sub),
            End::Treasury => put(treasury(cut, &key, hold), sub),
            End::Account(account) => {
                let scopes = [Some(zero_id()), line.1.clone(), line.2.clone()].into_iter().flatten().collect();
                pay(cut, &key, hold, &account, None, scopes, sub, &mut put);
            }
            End::Entity(subject) => {
                let (_, entity, owner) = cut.version(&subject);
                let scopes = vec![zero_id(), entity.clone()];
                let row = entity_row(cut, &entity);
                if let Some(split) = row.and_then(|row| row.split.as_ref()) {
                    let split = split_of(split);
                    let weights: Vec<BigUint> = split.iter().map(|s| BigUint::from(s.1)).collect();
                    for ((account, _), part) in split.iter().zip(cascade(&sub, &weights)) {
                        pay(cut, &key, hold, account, None, scopes.clone(), part, &mut put);
                    }
                } else {
                    let payout = row.and_then(|row| row.payout.clone()).filter(|p| usable(p, &key));
                    pay(cut, &key, hold, &owner, payout, scopes, sub, &mut put);
                }
            }
        }
    }
    out
}

fn entity_row<'a>(cut: &Cut<'a>, entity: &str) -> Option<&'a tributary_schemas::facts::EntityPayoutRow> {
    let mut rows = cut.facts.entity_payouts.iter();
    rows.find(|e| e.entity_id == entity && cut.holds(e.valid_from_block, e.valid_to_block))
}

/// The accounts and shares of a split, by address.
fn split_of(text: &str) -> Vec<(String, u64)> {
    let split: Vec<serde_json::Value> = serde_json::from_str(text).expect("a split");
    let part = |s: &serde_json::Value| {
        (s["account"].as_str().expect("text").to_owned(), s["share_ppb"].as_u64().expect("a number"))
    };
    let mut split: Vec<(String, u64)> = split.iter().map(part).collect();
    split.sort();
    split
}

/// Where an account is paid.
fn paid_at(cut: &Cut<'_>, account: &str, key: &Key) -> String {
    let mut settings = cut.facts.accounts.iter();
    let setting = settings.find(|a| a.account == account && cut.holds(a.valid_from_block, a.valid_to_block));
    setting.and_then(|a| a.payout.clone()).filter(|p| usable(p, key)).unwrap_or_else(|| account.to_owned())
}

/// Whether flows end at a payer, or at the address it is paid at.
pub(super) fn reaches(cut: &Cut<'_>, key: &Key, flows: &Flows, payer: &str) -> bool {
    let own = [payer.to_owned(), paid_at(cut, payer, key)];
    flows.gross.keys().any(|(_, _, _, end)| {
        let ends: Vec<String> = match end {
            End::Suspense(_) => Vec::new(),
            End::Direct(account) => vec![account.clone()],
            End::Treasury => {
                let treasury = cut.policies[key.2].4.treasury;
                if treasury == Address::ZERO { Vec::new() } else { vec![hex_text(treasury)] }
            }
            End::Account(account) => vec![account.clone(), paid_at(cut, account, key)],
            End::Entity(subject) => {
                let (_, entity, owner) = cut.version(subject);
                let row = entity_row(cut, &entity);
                if let Some(split) = row.and_then(|row| row.split.as_ref()) {
                    let members = split_of(split).into_iter().filter(|(_, share)| *share > 0);
                    members.flat_map(|(account, _)| [paid_at(cut, &account, key), account]).collect()
                } else {
                    let payout = row.and_then(|row| row.payout.clone()).filter(|p| usable(p, key));
                    vec![payout.unwrap_or_else(|| paid_at(cut, &owner, key)), owner]
                }
            }
        };
        ends.iter().any(|one| own.contains(one))
    })
}

pub(super) fn usable(payout: &str, key: &Key) -> bool {
    payout != hex_text(Address::ZERO) && payout != key.0 && payout != key.1
}

fn pending(hold: (i64, i64, i64), payee: &str) -> Party {
    (true, format!("pending:{}:{}:{}:{payee}", hold.0, hold.1, hold.2))
}

fn treasury(cut: &Cut<'_>, key: &Key, hold: Hold) -> Party {
    let treasury = cut.policies[key.2].4.treasury;
    match hold {
        _ if treasury == Address::ZERO => (true, "treasury".to_owned()),
        Some(hold) => pending(hold, &hex_text(treasury)),
        None => (false, hex_text(treasury)),
    }
}

#[expect(clippy::too_many_arguments, reason = "one credit, spelled out")]
fn pay(
    cut: &Cut<'_>,
    key: &Key,
    hold: Hold,
    account: &str,
    payout: Option<String>,
    scopes: Vec<String>,
    sub: BigUint,
    put: &mut impl FnMut(Party, BigUint),
) {
    let policy = &cut.policies[key.2].4;
    let mut multiplier = PPB;
    for scope in scopes {
        let mut scores: Vec<_> = cut
            .facts
            .penalties
            .iter()
            .filter(|p| p.account == account && p.scope == scope && p.block_number <= cut.last)
            .collect();
        scores.sort_by_key(|p| (p.block_number, p.log_index));
        if let Some(score) = scores.last().map(|p| p.score) {
            let step = policy.penalty.iter().filter(|s| i64::from(s.score) <= score).max_by_key(|s| s.score);
            multiplier = std::cmp::min(multiplier, step.map_or(PPB, |s| u64::from(s.multiplier_ppb)));
        }
    }
    let setting = |who: &str| {
        cut.facts.accounts.iter().find(|a| a.account == who && cut.holds(a.valid_from_block, a.valid_to_block))
    };
    let payout = payout.unwrap_or_else(|| paid_at(cut, account, key));
    let quarantined = [account, payout.as_str()].into_iter().find(|who| setting(who).is_some_and(|a| a.quarantined));
    let quarantined = quarantined.map(str::to_owned);
    let kept = &sub * multiplier / PPB;
    let withheld = match policy.withheld {
        Withheld::Treasury => treasury(cut, key, hold),
        Withheld::Hold => (true, format!("suspense:penalty:{account}")),
    };
    put(withheld, sub - &kept);
    let party = match (quarantined, hold) {
        (Some(who), _) => (true, format!("suspense:quarantined:{who}")),
        (None, Some(hold)) => pending(hold, &payout),
        (None, None) => (false, payout),
    };
    put(party, kept);
}

impl Auditor {
    #[expect(clippy::too_many_lines, reason = "the obvious version is read from top to bottom")]
    pub(super) fn book(
        &mut self,
        cut: &Cut<'_>,
        flows: Flows,
        (received, overflowing, late): (Vec<Received>, Vec<Received>, Vec<LateRefund>),
        freed: Vec<Freed>,
        (pots, totals): (BTreeMap<Pot, BigUint>, BTreeMap<(String, String), BigUint>),
    ) -> Audit {
        let mut audit = Audit::default();
        let mut entries: BTreeMap<[u8; 16], Entry> = BTreeMap::new();
        let mut write = |entry: Entry| {
            if entry.amount > BigUint::ZERO {
                assert!(entries.insert(id(cut.epoch, &entry), entry).is_none(), "ids are unique");
            }
        };
        let entry =
            |key: (&str, &str), debit: &str, credit: String, amount: BigUint, code: u8, source: [u8; 32]| Entry {
                vault: key.0.to_owned(),
                token: key.1.to_owned(),
                debit: debit.to_owned(),
                credit,
                amount,
                code,
                phase: 0,
                source,
                adjusts: None,
            };
        for (event, key, net) in received {
            write(entry((&key.0, &key.1), "escrow", "clearing".to_owned(), net, 1, bytes32(&event)));
        }
        for (event, key, net) in overflowing {
            write(entry((&key.0, &key.1), "escrow", "suspense:overflow".to_owned(), net, 3, bytes32(&event)));
        }
        for (event, key, amount, epoch) in late {
            let e = entry((&key.0, &key.1), "receivable:platform", "escrow".to_owned(), amount, 6, bytes32(&event));
            write(Entry { adjusts: Some(epoch), ..e });
        }
        let entitled = |positions: &Positions| {
            let mut sums: BTreeMap<(String, String), BigUint> = BTreeMap::new();
            for ((vault, _, token), (cumulative, _)) in positions {
                *sums.entry((vault.clone(), token.clone())).or_default() += cumulative;
            }
            sums
        };
        let (entitled_before, before) = (entitled(&self.positions), self.positions.clone());
        let mut claims: Vec<_> = cut.facts.reward_claims.iter().filter(|c| c.epoch == cut.epoch).collect();
        claims.sort_by_key(|c| (c.block_number, c.log_index));
        for c in claims {
            // No vault can have paid out 10^38.
            let same = self.positions.iter().filter(|(key, _)| key.0 == c.vault && key.2 == c.token);
            let room = BigUint::from(10u8).pow(38) - 1u8 - same.map(|(_, position)| &position.1).sum::<BigUint>();
            let amount = std::cmp::min(big(c.amount.0), room);
            let position = self.positions.entry((c.vault.clone(), c.account.clone(), c.token.clone())).or_default();
            let open = if position.0 > position.1 { &position.0 - &position.1 } else { BigUint::ZERO };
            let due = std::cmp::min(open, amount.clone());
            position.1 += &amount;
            let purse = (c.vault.as_str(), c.token.as_str());
            write(entry(
                purse,
                &format!("payable:{}", c.account),
                "claimed".to_owned(),
                due.clone(),
                5,
                bytes32(&c.event_id),
            ));
            write(entry(
                purse,
                &format!("receivable:{}", c.account),
                "claimed".to_owned(),
                amount - due,
                5,
                bytes32(&c.event_id),
            ));
        }
        for f in freed {
            let mut source = [0; 32];
            source[..16].copy_from_slice(&f.id);
            let purse = (f.key.0.as_str(), f.key.1.as_str());
            let e = entry(purse, &f.entry.credit, "clearing".to_owned(), f.amount().clone(), 6, source);
            write(Entry { adjusts: f.key.3, ..e });
        }
        self.release(cut, &mut write, &mut audit);
        for ((vault, token, adjusts), shares) in payees(cut, flows) {
            let scale = scale(&totals[&(vault.clone(), token.clone())]);
            let purse = (vault.as_str(), token.as_str());
            let mut credited = BigUint::ZERO;
            for (party, amount, lines) in largest_remainder(shares, &scale) {
                credited += &amount;
                for (line, part) in lines {
                    let role = ROLES[usize::from(line.0)];
                    let (account, role) = match &party {
                        (false, account) => (account.clone(), role.to_owned()),
                        (true, name) if name.starts_with("pending:") => {
                            (name.rsplit(':').next().expect("an address").to_owned(), format!("pending:{role}"))
                        }
                        (true, name) => (name.clone(), name.split(':').nth(1).unwrap_or(role).to_owned()),
                    };
                    *audit.roles.entry((vault.clone(), token.clone(), account, role, adjusts)).or_default() += part;
                }
                let (name, code, phase) = match &party {
                    (false, account) => {
                        let position =
                            self.positions.entry((vault.clone(), account.clone(), token.clone())).or_default();
                        position.0 += &amount;
                        (format!("payable:{account}"), 2, 0)
                    }
                    (true, name) if name.starts_with("pending:") => (name.clone(), 2, 1),
                    (true, name) if name == "treasury" => (name.clone(), 2, 0),
                    (true, name) => (name.clone(), 3, 0),
                };
                write(Entry { phase, adjusts, ..entry(purse, "clearing", name, amount, code, closing(adjusts)) });
            }
            let whole = &pots[&(vault.clone(), token.clone(), adjusts)];
            assert_eq!(credited, *whole, "credited and held are what came in");
        }
        self.fund(cut, &before, &mut write, &mut audit);
        let fund = keccak256(b"trib/step/1fund").0;
        for ((vault, token), sum) in entitled(&self.positions) {
            let earned = sum - entitled_before.get(&(vault.clone(), token.clone())).cloned().unwrap_or_default();
            let e = entry((&vault, &token), "distributor", "escrow".to_owned(), earned, 8, fund);
            if e.amount > BigUint::ZERO {
                entries.insert(id(cut.epoch, &e), e);
            }
        }
        for (id, e) in entries.iter().filter(|(_, e)| e.phase == 1 && e.credit.starts_with("pending:")) {
            self.pending.insert(*id, Entry { adjusts: Some(cut.epoch), ..e.clone() });
        }
        for (id, e) in entries.iter().filter(|(_, e)| e.credit.starts_with("suspense:")) {
            self.held.insert(*id, (cut.epoch, e.clone()));
        }
        for e in entries.values() {
            self.balance(e);
        }
        self.digest = digest(self.digest, cut.epoch, &entries);
        audit.roots = self.roots(cut);
        let revenue = pots.into_iter().filter(|(pot, _)| pot.2.is_none());
        audit.revenue = revenue.map(|((vault, token, _), sum)| ((vault, token), sum)).collect();
        audit.roles.retain(|_, amount| *amount > BigUint::ZERO);
        audit
    }

    /// The trial balance: [debits pending, debits posted, credits pending, credits posted] of each account, all payees
    /// being one, and so everything held under a reason.
    fn balance(&mut self, e: &Entry) {
        let most = BigUint::from(10u8).pow(38) - 1u8;
        // The debit side of a post or void is what waited; the credit side of what begins to wait waits.
        let debit = usize::from(e.phase == 0);
        let credit = if e.phase == 1 { 2 } else { 3 };
        for (account, counter) in [(&e.debit, debit), (&e.credit, credit)] {
            let parts: Vec<&str> = account.split(':').collect();
            let class = match parts[0] {
                "payable" | "pending" | "unfunded" => parts[0].to_owned(),
                "suspense" => format!("suspense:{}", parts[1]),
                _ => account.clone(),
            };
            let key = (e.vault.clone(), e.token.clone(), class);
            let counter = &mut self.balances.entry(key).or_default()[counter];
            *counter = std::cmp::min(&*counter + &e.amount, most.clone());
        }
    }

    /// Pending entries whose window is over.
    fn release(&mut self, cut: &Cut<'_>, write: &mut impl FnMut(Entry), audit: &mut Audit) {
        let mut waiting = BTreeMap::new();
        for (id, e) in std::mem::take(&mut self.pending) {
            let parts: Vec<String> = e.credit.split(':').map(str::to_owned).collect();
            let number = |at: usize| parts[at].parse::<i64>().expect("a number");
            let stands = cut.counts(number(1));
            if stands && (number(2) > cut.last || cut.challenged(number(1))) {
                waiting.insert(id, e);
                continue;
            }
            let mut source = [0; 32];
            source[..16].copy_from_slice(&id);
            let base = Entry { debit: e.credit.clone(), source, ..e.clone() };
            if stands {
                let position = self.positions.entry((e.vault.clone(), parts[4].clone(), e.token.clone())).or_default();
                position.0 += &e.amount;
                let role = (e.vault.clone(), e.token.clone(), parts[4].clone(), "posted".to_owned(), e.adjusts);
                *audit.roles.entry(role).or_default() += &e.amount;
                write(Entry { credit: format!("payable:{}", parts[4]), code: 2, phase: 2, ..base });
            } else {
                write(Entry { credit: "suspense:batch_rejected".to_owned(), code: 3, phase: 3, ..base });
            }
        }
        self.pending = waiting;
    }

    fn roots(&self, cut: &Cut<'_>) -> BTreeMap<String, B256> {
        let mut leaves: BTreeMap<String, Vec<B256>> = BTreeMap::new();
        for ((vault, account, token), (cumulative, _)) in &self.positions {
            let number = cut.policy(vault, &zero_id(), i64::MAX, 0);
            let least = cut.policies[number]
                .4
                .min_payout
                .get(&bytes20(token))
                .map_or(1, |least| std::cmp::max(1, least.units()));
            if *cumulative >= BigUint::from(least) {
                let mut encoded = vec![0; 96];
                encoded[12..32].copy_from_slice(bytes20(account).as_slice());
                encoded[44..64].copy_from_slice(bytes20(token).as_slice());
                let value = U256::from_be_slice(&cumulative.to_bytes_be());
                encoded[64..].copy_from_slice(&value.to_be_bytes::<32>());
                leaves.entry(vault.clone()).or_default().push(keccak256(keccak256(encoded)));
            }
        }
        let root = |mut leaves: Vec<B256>| {
            leaves.sort();
            standard_tree(&leaves)[0]
        };
        leaves.into_iter().map(|(vault, leaves)| (vault, root(leaves))).collect()
    }
}

/// A party, what it gets, and its lines.
type Share = (Party, BigUint, Vec<(Line, BigUint)>);

/// Floors, then one more for the largest remainders, ties by order; and each party's lines by cascade.
fn largest_remainder(shares: BTreeMap<Party, BTreeMap<Line, BigUint>>, scale: &BigUint) -> Vec<Share> {
    let mut rows: Vec<(Party, BigUint, BTreeMap<Line, BigUint>)> =
        shares.into_iter().map(|(party, lines)| (party, lines.values().sum(), lines)).collect();
    let whole: BigUint = rows.iter().map(|r| &r.1).sum::<BigUint>() / scale;
    let mut left = whole - rows.iter().map(|r| &r.1 / scale).sum::<BigUint>();
    rows.sort_by(|a, b| (&b.1 % scale).cmp(&(&a.1 % scale)).then_with(|| a.0.cmp(&b.0)));
    rows.into_iter()
        .map(|(party, sub, lines)| {
            let mut amount = sub / scale;
            if left > BigUint::ZERO {
                amount += 1u8;
                left -= 1u8;
            }
            let weights: Vec<BigUint> = lines.values().cloned().collect();
            let parts = cascade(&amount, &weights);
            (party, amount, lines.into_keys().zip(parts).collect())
        })
        .collect()
}

pub(super) fn id(epoch: i64, e: &Entry) -> [u8; 16] {
    let mut bytes = b"trib/jrn/1".to_vec();
    bytes.extend(epoch.to_be_bytes());
    bytes.extend(1u32.to_be_bytes());
    bytes.push(e.code);
    bytes.extend(bytes20(&e.vault));
    bytes.extend(bytes20(&e.token));
    bytes.extend(keccak256(&e.debit));
    bytes.extend(keccak256(&e.credit));
    bytes.extend(e.source);
    let mut id = [0; 16];
    id.copy_from_slice(&keccak256(bytes)[..16]);
    id
}

fn digest(previous: B256, epoch: i64, entries: &BTreeMap<[u8; 16], Entry>) -> B256 {
    let mut bytes = Vec::new();
    for (id, e) in entries {
        bytes.extend(id);
        bytes.extend(epoch.to_be_bytes());
        bytes.extend(bytes20(&e.vault));
        bytes.extend(bytes20(&e.token));
        bytes.extend(keccak256(&e.debit));
        bytes.extend(keccak256(&e.credit));
        bytes.extend(u128::try_from(&e.amount).expect("below 2^128").to_be_bytes());
        bytes.extend([e.code, e.phase]);
        bytes.extend(e.source);
        bytes.extend(e.adjusts.map_or(u64::MAX.to_be_bytes(), i64::to_be_bytes));
    }
    let mut all = b"trib/led/1".to_vec();
    all.extend(previous);
    all.extend(epoch.to_be_bytes());
    all.extend(keccak256(bytes));
    keccak256(all)
}
