//! Datasets, models, agents, their edges, and who owns them.

use tributary_schemas::column::Decimal38;
use tributary_schemas::facts::{
    AccountRow, AgentRow, AgentVersionRow, ContributionRow, DatasetRow, DatasetVersionRow, EdgeRow, EntityPayoutRow,
    MembershipRow, ModelRow, ModelVersionRow, PenaltyRow, StakeRow,
};

use super::{Maker, account, id, token, vault};

impl Maker {
    pub(crate) fn graph(&mut self) {
        let datasets = self.between(1, 3);
        let mut contribution = 0;
        for dataset in 0..datasets {
            self.dataset(dataset);
            for _ in 0..self.between(1, 8) {
                self.contribution(dataset, contribution);
                contribution += 1;
            }
        }
        for model in 0..self.between(1, 7) {
            self.model(model, datasets);
        }
        for agent in 0..self.between(1, 3) {
            self.agent(agent);
        }
        self.settings();
    }

    fn dataset(&mut self, sk: i64) {
        let from = self.first;
        let row = DatasetRow {
            dataset_sk: sk,
            dataset_id: id("dataset", sk),
            text_id: format!("dataset {sk}"),
            owner: self.account(),
            visibility: "public".to_owned(),
            license: String::new(),
            metadata_uri: String::new(),
            metadata_hash: id("meta", sk),
            last_version: Some(2),
            flags: String::new(),
            valid_from_block: from,
            valid_to_block: None,
        };
        self.facts.datasets.push(row);
        for version in 1..=2 {
            let version_sk = sk * 2 + version - 1;
            let row = DatasetVersionRow {
                version_sk,
                version_id: id("dataset version", version_sk),
                dataset_sk: sk,
                version,
                manifest_root: id("manifest", version_sk),
                added: 0,
                removed: 0,
                total_rows: 0,
                members: None,
                license: String::new(),
                deprecated: false,
                flags: String::new(),
                published_block: from,
                valid_from_block: from,
                valid_to_block: None,
            };
            self.facts.dataset_versions.push(row);
        }
    }

    fn contribution(&mut self, dataset_sk: i64, sk: i64) {
        let row_count = if self.once_in(4) { 0 } else { self.between(1, 1_000_000) };
        // One in four is a copy of one of the first three.
        let content = if self.once_in(4) { self.between(0, 2) } else { sk };
        let row = ContributionRow {
            contribution_sk: sk,
            contribution_id: id("contribution", sk),
            dataset_sk,
            contributor: self.account(),
            content_hash: id("content", content),
            row_count,
            byte_count: row_count,
            license: String::new(),
            state: "approved".to_owned(),
            quality: None,
            flags: String::new(),
            submitted_block: self.first,
            valid_from_block: self.first,
            valid_to_block: None,
        };
        if self.once_in(6) {
            let block = self.some_block() + 1;
            self.facts.contributions.push(ContributionRow { valid_to_block: Some(block), ..row.clone() });
            self.facts.contributions.push(ContributionRow {
                state: "removed".to_owned(),
                valid_from_block: block,
                ..row
            });
        } else {
            self.facts.contributions.push(row);
        }
        if !self.once_in(5) {
            let to_version = self.once_in(4).then_some(2);
            let from_version = if to_version.is_none() { self.between(1, 2) } else { 1 };
            let row = MembershipRow {
                dataset_sk,
                contribution_sk: sk,
                from_version,
                to_version,
                row_count,
                valid_from_block: self.first,
                valid_to_block: None,
            };
            self.facts.dataset_membership.push(row);
        }
    }

    fn model(&mut self, sk: i64, datasets: i64) {
        let from = self.first;
        let row = ModelRow {
            model_sk: sk,
            model_id: id("model", sk),
            text_id: format!("model {sk}"),
            owner: self.account(),
            kind: "finetune".to_owned(),
            metadata_uri: String::new(),
            metadata_hash: id("meta", sk),
            last_version: Some(1),
            valid_from_block: from,
            valid_to_block: None,
        };
        if self.once_in(5) && self.first < self.last {
            let block = self.between(self.first + 1, self.last);
            let owner = self.account();
            self.facts.models.push(ModelRow { valid_to_block: Some(block), ..row.clone() });
            self.facts.models.push(ModelRow { owner, valid_from_block: block, ..row });
        } else {
            self.facts.models.push(row);
        }
        let row = ModelVersionRow {
            version_sk: sk,
            version_id: id("model version", sk),
            model_sk: sk,
            version: 1,
            artifact_hash: id("artifact", sk),
            config_hash: id("config", sk),
            license: String::new(),
            deprecated: false,
            flags: String::new(),
            published_block: from,
            valid_from_block: from,
            valid_to_block: None,
        };
        self.facts.model_versions.push(row);
        let mut rest = 1_000_000_000;
        for upstream in 0..sk {
            if self.once_in(2) {
                let share = self.share(&mut rest);
                self.edge("BASED_ON_FINETUNE", ("model", sk), ("model", Some(upstream)), share);
            }
        }
        if self.once_in(4) {
            let share = self.share(&mut rest);
            self.edge("BASED_ON_ADAPTER", ("model", sk), ("external", None), share);
        }
        let mut rest = 1_000_000_000;
        for version in 0..datasets * 2 {
            if self.once_in(3) {
                let share = self.share(&mut rest);
                self.edge("TRAINED_ON", ("model", sk), ("dataset", Some(version)), share);
            }
        }
    }

    fn agent(&mut self, sk: i64) {
        let from = self.first;
        let row = AgentRow {
            agent_sk: sk,
            agent_id: id("agent", sk),
            text_id: format!("agent {sk}"),
            owner: self.account(),
            metadata_uri: String::new(),
            last_version: Some(1),
            valid_from_block: from,
            valid_to_block: None,
        };
        self.facts.agents.push(row);
        let row = AgentVersionRow {
            version_sk: sk,
            version_id: id("agent version", sk),
            agent_sk: sk,
            version: 1,
            config_hash: id("config", sk),
            deprecated: false,
            flags: String::new(),
            published_block: from,
            valid_from_block: from,
            valid_to_block: None,
        };
        self.facts.agent_versions.push(row);
        let mut rest = 1_000_000_000;
        let models = i64::try_from(self.facts.model_versions.len()).unwrap_or(0);
        for model in 0..models {
            if self.once_in(2) {
                let share = self.share(&mut rest);
                self.edge("USES_MODEL", ("agent", sk), ("model", Some(model)), share);
            }
        }
    }

    fn edge(
        &mut self,
        relation: &str,
        (src_kind, src_sk): (&str, i64),
        (dst_kind, dst_sk): (&str, Option<i64>),
        share_ppb: Option<i64>,
    ) {
        let late = self.once_in(5);
        let from_block = if late { self.some_block() } else { self.first };
        let ends = self.once_in(8);
        let valid_to_block = if ends { Some(self.between(from_block + 1, self.last + 1)) } else { None };
        let row = EdgeRow {
            relation: relation.to_owned(),
            src_kind: src_kind.to_owned(),
            src_id: id(&format!("{src_kind} version"), src_sk),
            src_sk,
            dst_kind: dst_kind.to_owned(),
            dst_id: id(&format!("{dst_kind} version"), dst_sk.unwrap_or(0)),
            dst_sk,
            share_ppb,
            late,
            from_block,
            flags: String::new(),
            valid_from_block: from_block,
            valid_to_block,
        };
        self.facts.edges.push(row);
    }

    /// Payout and quarantine of an account; some quarantines end.
    fn setting(&mut self, number: i64) {
        let choices = [self.account(), vault(0), token(1), token(0), account(99)];
        let payout = choices[self.pick(choices.len())].clone();
        let quarantined = self.once_in(4);
        let valid_from_block = self.some_block();
        let payout = (!self.once_in(4)).then_some(payout);
        let row = AccountRow { account: account(number), payout, quarantined, valid_from_block, valid_to_block: None };
        if quarantined && valid_from_block < self.last && self.once_in(2) {
            let block = self.between(valid_from_block + 1, self.last);
            self.facts.accounts.push(AccountRow { valid_to_block: Some(block), ..row.clone() });
            self.facts.accounts.push(AccountRow { quarantined: false, valid_from_block: block, ..row });
        } else {
            self.facts.accounts.push(row);
        }
    }

    /// Payouts, splits, quarantine, penalties, stakes.
    fn settings(&mut self) {
        for number in 1..=12 {
            if self.once_in(3) {
                self.setting(number);
            }
            if self.once_in(4) {
                let scopes = [id("zero", 0), id("dataset", 0), id("contribution", 1), id("model", 0)];
                let scope = if self.once_in(2) { crate::auditor::zero_id() } else { scopes[self.pick(4)].clone() };
                let block_number = self.some_block();
                let (epoch, log_index) = (self.epoch_of(block_number), self.log());
                let score = self.between(0, 1_000_000);
                self.facts.penalties.push(PenaltyRow {
                    epoch,
                    block_number,
                    log_index,
                    account: account(number),
                    scope,
                    score,
                    reason: String::new(),
                });
            }
        }
        for entity in [id("model", 0), id("model", 1), id("model", 2), id("agent", 0), id("agent", 1)] {
            if self.once_in(2) {
                let valid_from_block = self.some_block();
                let payout = self.once_in(2).then(|| self.account());
                let share = self.between(0, 1_000_000_000);
                let (a, b) = (account(1), account(2));
                let split = format!(
                    r#"[{{"account":"{a}","share_ppb":{share}}},{{"account":"{b}","share_ppb":{}}}]"#,
                    1_000_000_000 - share
                );
                let split = self.once_in(2).then_some(split);
                self.facts.entity_payouts.push(EntityPayoutRow {
                    entity_id: entity,
                    payout,
                    split,
                    valid_from_block,
                    valid_to_block: None,
                });
            }
        }
        for _ in 0..self.between(0, 8) {
            let pool = if self.once_in(2) { crate::auditor::zero_id() } else { id("model", self.between(0, 2)) };
            let block_number = self.some_block();
            let (epoch, log_index, account) = (self.epoch_of(block_number), self.log(), self.account());
            let balance_after = Decimal38(self.heavy(36));
            self.facts.stakes.push(StakeRow {
                epoch,
                block_number,
                log_index,
                pool,
                account,
                delta: Decimal38(0),
                balance_after,
            });
        }
    }
}
