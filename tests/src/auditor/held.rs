//! What leaves suspense, by the book: a late blob first, then orders, then time.

use num_bigint::BigUint;
use tributary_schemas::Payload;
use tributary_schemas::code::ReleaseTo;
use tributary_schemas::column::hex_text;
use tributary_schemas::encoding::payload_from_json;
use tributary_schemas::facts::PaymentRow;

use super::ledger::Entry;
use super::{Auditor, Cut, End, Key, Named, Subject, zero_id};

/// Money that is free now.
pub(super) struct Freed {
    /// The entry that held it.
    pub(super) id: [u8; 16],
    pub(super) entry: Entry,
    pub(super) key: Key,
    pub(super) way: Way,
}

/// Where it goes.
pub(super) enum Way {
    /// As the payment it is.
    Payment(Subject, Named),
    /// Its data channel.
    Data(Subject, Named),
    /// To an end.
    End(End),
}

/// Vault, reason, subject, receiver.
type Order = (String, String, String, ReleaseTo);

fn orders(cut: &Cut<'_>) -> Vec<Order> {
    let mut events: Vec<_> =
        cut.facts.events.iter().filter(|e| e.epoch == cut.epoch && e.kind == "SuspenseReleased" && e.valid).collect();
    events.sort_by_key(|e| (e.block_number, e.tx_index, e.log_index, e.sub_index));
    let read = |e: &&tributary_schemas::facts::EventRow| {
        let payload = payload_from_json(&e.kind, &e.payload).expect("the world's events can be read");
        let Payload::SuspenseReleased { reason, subject, to } = payload else { return None };
        let reason = String::from_utf8(reason.0.to_vec()).expect("ASCII").trim_end_matches('\0').to_owned();
        Some((e.emitter.clone(), reason, hex_text(subject), to))
    };
    events.iter().filter_map(read).collect()
}

impl Auditor {
    /// Everything of earlier epochs that may leave suspense at this cut.
    pub(super) fn freed(&mut self, cut: &Cut<'_>) -> Vec<Freed> {
        let orders = orders(cut);
        let mut freed = Vec::new();
        let mut stays = std::collections::BTreeMap::new();
        for (id, (since, entry)) in std::mem::take(&mut self.held) {
            let mut name = entry.credit.split(':').skip(1);
            let (reason, whose) = (name.next().expect("a reason").to_owned(), name.next().map(str::to_owned));
            let payment = cut.facts.payments.iter().find(|p| Some(&p.payment_id) == whose.as_ref());
            let held = Held { cut, since, entry: &entry, reason, whose, payment };
            match held.way(&orders) {
                Some(way) => {
                    let key = held.key();
                    freed.push(Freed { id, entry, key, way });
                }
                None => {
                    stays.insert(id, (since, entry));
                }
            }
        }
        self.held = stays;
        freed
    }
}

struct Held<'a> {
    cut: &'a Cut<'a>,
    since: i64,
    entry: &'a Entry,
    reason: String,
    whose: Option<String>,
    payment: Option<&'a PaymentRow>,
}

impl Held<'_> {
    /// The policy is that of the payment; else the one for everything.
    fn key(&self) -> Key {
        let number = match self.payment {
            Some(p) => self.cut.policy(&p.vault, &self.cut.version(&subject(p)).1, p.block_number, p.log_index),
            None => self.cut.policy(&self.entry.vault, &zero_id(), i64::MAX, 0),
        };
        let adjusts = self.entry.adjusts.unwrap_or(self.since);
        (self.entry.vault.clone(), self.entry.token.clone(), number, Some(adjusts))
    }

    fn way(&self, orders: &[Order]) -> Option<Way> {
        if self.reason == "blob_missing" {
            let named = self.named(self.payment?);
            if !matches!(named, Named::Missing(_)) {
                return Some(Way::Data(subject(self.payment?), named));
            }
        }
        let ordered = orders.iter().filter(|order| self.is_meant_by(order)).find_map(|order| self.order(order.3));
        ordered.or_else(|| self.time())
    }

    fn named(&self, payment: &PaymentRow) -> Named {
        self.cut.resolve(payment, &self.cut.policies[self.key().2].4)
    }

    fn is_meant_by(&self, (vault, reason, wanted, _): &Order) -> bool {
        if *vault != self.entry.vault || *reason != self.reason {
            return false;
        }
        let mut names = vec![zero_id()];
        if let Some(whose) = &self.whose {
            names.push(format!("0x{:0>64}", whose.trim_start_matches("0x")));
        }
        if let Some(p) = self.payment {
            let (version, entity, _) = self.cut.version(&subject(p));
            names.extend([version, entity]);
            names.extend(p.reference.clone());
        }
        names.contains(wanted)
    }

    fn order(&self, to: ReleaseTo) -> Option<Way> {
        match (self.reason.as_str(), to) {
            ("overflow", _) => None,
            (_, ReleaseTo::Treasury) => Some(Way::End(End::Treasury)),
            (_, ReleaseTo::Payer) => Some(Way::End(End::Direct(self.payment?.payer.clone()))),
            ("blob_missing", ReleaseTo::Payees) => Some(Way::Data(subject(self.payment?), Named::Unresolved)),
            ("unbacked" | "self_dealing", ReleaseTo::Payees) => {
                let payment = self.payment?;
                Some(Way::Payment(subject(payment), self.named(payment)))
            }
            ("quarantined" | "penalty", ReleaseTo::Payees) => self.owner(),
            _ => None,
        }
    }

    fn time(&self) -> Option<Way> {
        let number = self.cut.policy(&self.entry.vault, &zero_id(), i64::MAX, 0);
        let wait = i64::try_from(self.cut.policies[number].4.suspense_release_blocks).expect("small");
        let blocks = self.cut.facts.blocks.iter().filter(|b| b.epoch == self.since);
        let end = blocks.map(|b| b.number).max().expect("the epoch had blocks");
        if wait == 0 || end + wait > self.cut.last {
            return None;
        }
        match self.reason.as_str() {
            "overflow" | "unbacked" => None,
            "blob_missing" => self.order(ReleaseTo::Payees),
            "quarantined" => self.owner(),
            _ => Some(Way::End(End::Treasury)),
        }
    }

    /// Whom an account's money goes to when neither is in quarantine.
    fn owner(&self) -> Option<Way> {
        let account = self.whose.clone()?;
        let setting = |who: &str| {
            let mut rows = self.cut.facts.accounts.iter();
            rows.find(|a| a.account == who && self.cut.holds(a.valid_from_block, a.valid_to_block))
        };
        let payout = setting(&account).and_then(|a| a.payout.clone());
        let payout = payout.filter(|to| super::ledger::usable(to, &self.key())).unwrap_or_else(|| account.clone());
        let caught = [&account, &payout].into_iter().any(|who| setting(who).is_some_and(|a| a.quarantined));
        (!caught).then_some(Way::End(End::Direct(payout)))
    }
}

fn subject(payment: &PaymentRow) -> Subject {
    (payment.subject_kind.clone(), payment.subject_sk)
}

impl Freed {
    pub(super) fn amount(&self) -> &BigUint {
        &self.entry.amount
    }
}
