//! Contributions, models and agents, and the edges between them.

use tributary_schemas::facts::{
    AgentRow, AgentVersionRow, ContributionRow, DatasetRow, DatasetVersionRow, EdgeRow, MembershipRow, ModelRow,
    ModelVersionRow,
};

use super::events::after;
use super::policy::ppb;
use super::scene::Scene;

impl Scene {
    fn dataset(&mut self, name: &str) -> i64 {
        if let Some(sk) = self.known("dataset", name) {
            return sk;
        }
        let dataset_sk = self.key("dataset", name);
        let row = DatasetRow {
            dataset_sk,
            dataset_id: self.id("dataset", name),
            text_id: name.to_owned(),
            owner: self.account("curator"),
            visibility: "public".to_owned(),
            license: String::new(),
            metadata_uri: String::new(),
            metadata_hash: String::new(),
            last_version: Some(1),
            flags: String::new(),
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.datasets.push(row);
        let row = DatasetVersionRow {
            version_sk: dataset_sk * 2,
            version_id: self.id("dataset version", &format!("{name} 1")),
            dataset_sk,
            version: 1,
            manifest_root: String::new(),
            added: 0,
            removed: 0,
            total_rows: 0,
            members: None,
            license: String::new(),
            deprecated: false,
            flags: String::new(),
            published_block: self.block,
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.dataset_versions.push(row);
        dataset_sk
    }

    pub(super) fn contribute(&mut self, words: &[&str]) {
        let name = words[1];
        let dataset_sk = self.dataset(after(words, "of").unwrap());
        let contribution_sk = self.key("contribution", name);
        let row_count = after(words, "rows").map_or(1, |rows| rows.parse().unwrap());
        let row = ContributionRow {
            contribution_sk,
            contribution_id: self.id("contribution", name),
            dataset_sk,
            contributor: self.account(after(words, "by").unwrap()),
            content_hash: self.id("content", after(words, "copy").unwrap_or(name)),
            row_count,
            byte_count: row_count,
            license: String::new(),
            state: "approved".to_owned(),
            quality: None,
            flags: String::new(),
            submitted_block: self.block,
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.contributions.push(row);
        if !words.contains(&"stranger") {
            self.facts.dataset_membership.push(MembershipRow {
                dataset_sk,
                contribution_sk,
                from_version: 1,
                to_version: None,
                row_count,
                valid_from_block: self.block,
                valid_to_block: None,
            });
        }
    }

    pub(super) fn model(&mut self, words: &[&str]) {
        let name = words[1];
        let sk = self.key("model", name);
        let row = ModelRow {
            model_sk: sk,
            model_id: self.id("model", name),
            text_id: name.to_owned(),
            owner: self.account(after(words, "by").unwrap()),
            kind: "finetune".to_owned(),
            metadata_uri: String::new(),
            metadata_hash: String::new(),
            last_version: Some(1),
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.models.push(row);
        let row = ModelVersionRow {
            version_sk: sk,
            version_id: self.id("model version", name),
            model_sk: sk,
            version: 1,
            artifact_hash: String::new(),
            config_hash: String::new(),
            license: String::new(),
            deprecated: false,
            flags: String::new(),
            published_block: self.block,
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.model_versions.push(row);
        self.edges(("model", name), words, false);
    }

    pub(super) fn agent(&mut self, words: &[&str]) {
        let name = words[1];
        let sk = self.key("agent", name);
        let row = AgentRow {
            agent_sk: sk,
            agent_id: self.id("agent", name),
            text_id: name.to_owned(),
            owner: self.account(after(words, "by").unwrap()),
            metadata_uri: String::new(),
            last_version: Some(1),
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.agents.push(row);
        let row = AgentVersionRow {
            version_sk: sk,
            version_id: self.id("agent version", name),
            agent_sk: sk,
            version: 1,
            config_hash: String::new(),
            deprecated: false,
            flags: String::new(),
            published_block: self.block,
            valid_from_block: self.block,
            valid_to_block: None,
        };
        self.facts.agent_versions.push(row);
        self.edges(("agent", name), words, false);
    }

    /// `edge tuned on base 30`
    pub(super) fn late_edge(&mut self, words: &[&str]) {
        self.edges((self.subject(words[1]).0, words[1]), words, true);
    }

    /// `on NAME SHARE`, `uses NAME SHARE`, `trained NAME SHARE`; a share may be left out.
    fn edges(&mut self, (src_kind, source): (&'static str, &str), words: &[&str], late: bool) {
        for (at, word) in words.iter().enumerate() {
            let relation = match *word {
                "on" => "BASED_ON_FINETUNE",
                "uses" => "USES_MODEL",
                "trained" => "TRAINED_ON",
                _ => continue,
            };
            let name = words[at + 1];
            let share = words.get(at + 2).filter(|word| word.starts_with(|c: char| c.is_ascii_digit()));
            let (dst_kind, dst_sk, dst_id) = if name.starts_with("outside") {
                ("external", None, self.id("external", name))
            } else if relation == "TRAINED_ON" {
                let sk = self.dataset(name) * 2;
                ("dataset", Some(sk), self.id("dataset version", &format!("{name} 1")))
            } else {
                ("model", self.known("model", name), self.id("model version", name))
            };
            let row = EdgeRow {
                relation: relation.to_owned(),
                src_kind: src_kind.to_owned(),
                src_id: self.id(&format!("{src_kind} version"), source),
                src_sk: self.subject(source).1,
                dst_kind: dst_kind.to_owned(),
                dst_id,
                dst_sk,
                share_ppb: share.map(|share| i64::from(ppb(share))),
                late,
                from_block: self.block,
                flags: String::new(),
                valid_from_block: self.block,
                valid_to_block: None,
            };
            self.facts.edges.push(row);
        }
    }
}
