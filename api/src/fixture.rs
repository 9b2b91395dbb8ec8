//! A small published world, by hand: one dataset of two contributors, a base model, a fine-tune, an agent, two settled
//! epochs. Blocks 0 to 20, ten to an epoch; the dataset changes hands at block 15.

mod ask;

use std::sync::Arc;

use alloy_primitives::{Address, B256};
use tributary_accounting::tree::{Leaf, Tree};
use tributary_schemas::column::{Decimal38, Micros, hex_text};
use tributary_schemas::facts::{
    AccountRow, AgentRow, AgentVersionRow, AnchorRow, BlockRow, ContributionRow, DatasetRow, DatasetVersionRow,
    EdgeRow, EntityPayoutRow, MembershipRow, ModelRow, ModelVersionRow, PublishedRootRow, RewardClaimRow, Rows,
};
use tributary_schemas::money::{
    ClaimRow, EntitlementRow, EpochRow, FundingRow, LedgerEntryRow, MerkleLeafRow, MoneyFlowRow,
};
use tributary_store::{Anchors, BlockRef, Change, Heads, Lake, Snapshot, Status, write_status};

pub(crate) use ask::{answer, respond};

pub(crate) const ANN: &str = "0x00000000000000000000000000000000000000a1";
pub(crate) const BOB: &str = "0x00000000000000000000000000000000000000b2";
pub(crate) const OWNER: &str = "0x00000000000000000000000000000000000000c3";
pub(crate) const BUYER: &str = "0x00000000000000000000000000000000000000d4";
pub(crate) const VAULT: &str = "0x00000000000000000000000000000000000000ee";
pub(crate) const NATIVE: &str = "0x0000000000000000000000000000000000000000";

pub(crate) struct Published {
    pub(crate) dir: tempfile::TempDir,
    pub(crate) lake: Lake,
    pub(crate) snapshot: Arc<Snapshot>,
}

/// The id of a thing of this world: its name's bytes, padded.
pub(crate) fn id(name: &str) -> String {
    hex_text(B256::right_padding_from(name.as_bytes()))
}

fn hash(number: i64) -> String {
    hex_text(B256::with_last_byte(u8::try_from(number).unwrap()))
}

fn text(kind: &str, key: u8) -> String {
    format!("trib:1612:{kind}:{VAULT}:{key}")
}

pub(crate) async fn publish() -> Published {
    publish_with(|_| {}).await
}

/// The same, with an account that has so many lines in epoch 0: one unit from each of its contributions, the last from a
/// model.
pub(crate) async fn publish_wide(account: &str, lines: i64) -> Published {
    publish_with(|money| {
        for line in 0..lines {
            let last = line + 1 == lines;
            money.entitlements.push(EntitlementRow {
                epoch: 0,
                vault: VAULT.to_owned(),
                account: account.to_owned(),
                token: NATIVE.to_owned(),
                role: if last { "lineage" } else { "data" }.to_owned(),
                dataset_id: Some(id("dataset")).filter(|_| !last),
                contribution_id: Some(id(&format!("contribution{line:06}"))).filter(|_| !last),
                model_version_id: Some(id(if last { "base@1" } else { "finetune@1" })),
                agent_version_id: Some(id("agent@1")),
                amount: Decimal38(1),
                rounding: Decimal38(0),
                adjusts_epoch: None,
            });
        }
        money.claims.push(ClaimRow {
            epoch: 0,
            vault: VAULT.to_owned(),
            account: account.to_owned(),
            token: NATIVE.to_owned(),
            cumulative: Decimal38(lines.into()),
            claimed: Decimal38(0),
            claimable: Decimal38(lines.into()),
        });
    })
    .await
}

/// The same, where the vault holds too little for what ANN earned: seven of epoch 0 wait and come in epoch 1, of which
/// nine wait.
pub(crate) async fn publish_short() -> Published {
    publish_with(|money| {
        let (payable, unfunded) = (format!("payable:{ANN}"), format!("unfunded:{ANN}"));
        for (number, epoch, (debit, credit), amount, adjusts_epoch) in [
            (6, 0, (&payable, &unfunded), 7, None),
            (7, 1, (&unfunded, &payable), 7, Some(0)),
            (8, 1, (&payable, &unfunded), 9, None),
        ] {
            money.ledger_entries.push(LedgerEntryRow {
                epoch,
                entry_id: format!("0x{number:032x}"),
                vault: VAULT.to_owned(),
                token: NATIVE.to_owned(),
                debit: debit.clone(),
                credit: credit.clone(),
                amount: Decimal38(amount),
                code: if adjusts_epoch.is_some() { "credit" } else { "hold" }.to_owned(),
                phase: if adjusts_epoch.is_some() { "post" } else { "pending" }.to_owned(),
                source: id("source"),
                adjusts_epoch,
            });
        }
        for (epoch, owed, held, waiting) in [(0, 450, 443, 7), (1, 361, 350, 9)] {
            money.fundings.push(FundingRow {
                epoch,
                block_number: 10 * (epoch + 1),
                vault: VAULT.to_owned(),
                token: NATIVE.to_owned(),
                state: "short".to_owned(),
                owed: Decimal38(owed),
                held: Some(Decimal38(held)),
                granted: Decimal38(100),
                waiting: Decimal38(waiting),
            });
        }
    })
    .await
}

async fn publish_with(more: impl FnOnce(&mut tributary_schemas::money::Rows)) -> Published {
    let dir = tempfile::tempdir().unwrap();
    let lake = Lake::open(dir.path()).await.unwrap();
    let mut facts = Rows::default();
    blocks(&mut facts);
    anchors(&mut facts);
    graph(&mut facts);
    edges(&mut facts);
    claims_on_chain(&mut facts);
    let tree = Tree::new(vec![
        Leaf::new(ANN.parse().unwrap(), Address::ZERO, 111),
        Leaf::new(BOB.parse().unwrap(), Address::ZERO, 300),
        Leaf::new(OWNER.parse().unwrap(), Address::ZERO, 50),
    ]);
    let mut money = money(&tree);
    more(&mut money);
    let folder = dir.path().join("epochs").join("1");
    std::fs::create_dir_all(&folder).unwrap();
    tree.write_nodes(&mut std::fs::File::create(folder.join(format!("{VAULT}.nodes"))).unwrap()).unwrap();
    let heads = Heads {
        chain_id: 1612,
        epoch_origin: 1_000,
        epoch_seconds: 100,
        block_number: 20,
        block_hash: B256::with_last_byte(20),
        block_timestamp: 1_200,
        log_root: ROOT,
        finality: "asserted".to_owned(),
        trust: "full".to_owned(),
        finalized_number: 20,
        settled_epoch: Some(1),
        roots: [(VAULT.parse().unwrap(), tree.root())].into(),
        anchors: Some(Anchors::default()),
        ..Heads::default()
    };
    let snapshot = lake
        .publish(None, heads, Change { facts: facts.into(), money: money.into(), ..Change::default() })
        .await
        .unwrap();
    let head = BlockRef { number: 23, hash: B256::ZERO, parent_hash: B256::ZERO, timestamp: 1_230 };
    let status =
        Status { head: Some(head), lag_blocks: 3, waiting: vec!["epoch 2 is open".to_owned()], ..Status::default() };
    write_status(dir.path(), &status).unwrap();
    Published { dir, lake, snapshot }
}

/// The log root at the sealed block.
const ROOT: B256 = B256::repeat_byte(0x77);

fn blocks(facts: &mut Rows) {
    for number in 0..=20 {
        let root = if number == 20 { ROOT } else { B256::repeat_byte(u8::try_from(number).unwrap()) };
        facts.blocks.push(BlockRow {
            number,
            hash: hash(number),
            parent_hash: hash(std::cmp::max(number - 1, 0)),
            timestamp: Micros::from_seconds(1_000 + 10 * u64::try_from(number).unwrap()),
            epoch: number / 10,
            l1_origin_number: None,
            tx_count: 1,
            log_count: 0,
            event_count: 0,
            finality: "asserted".to_owned(),
            trust: "full".to_owned(),
            log_root: hex_text(root),
        });
    }
}

/// Block 5 lies in two postings, one of them in a blob of L1, block 6 in none.
fn anchors(facts: &mut Rows) {
    let none = AnchorRow {
        epoch: 0,
        l2_block: 6,
        l2_hash: hash(6),
        state: "not_anchored".to_owned(),
        part: 0,
        l1_block: None,
        l1_hash: None,
        l1_tx: None,
        form: None,
        versioned_hash: None,
        blob_index: None,
        commitment_hash: None,
        blob_key: None,
        dispersed_by: None,
        level: None,
        data_level: None,
        channel: None,
        frame_first: None,
        frame_last: None,
        batch_kind: None,
        batch_index: None,
        parent_checked: false,
    };
    let posting = |part, l1_block| AnchorRow {
        l2_block: 5,
        l2_hash: hash(5),
        state: "anchored".to_owned(),
        part,
        l1_block: Some(l1_block),
        l1_tx: Some(hash(l1_block)),
        ..none.clone()
    };
    facts.anchors.push(AnchorRow {
        form: Some("eigenda".to_owned()),
        blob_key: Some(hash(1)),
        dispersed_by: Some(OWNER.to_owned()),
        level: Some("L3".to_owned()),
        ..posting(0, 90)
    });
    facts.anchors.push(AnchorRow {
        form: Some("blob".to_owned()),
        versioned_hash: Some(hash(2)),
        blob_index: Some(4),
        data_level: Some("content".to_owned()),
        ..posting(1, 91)
    });
    facts.anchors.push(none);
}

fn graph(facts: &mut Rows) {
    for (from, owner) in [(1, OWNER), (15, BUYER)] {
        facts.datasets.push(DatasetRow {
            dataset_sk: 0,
            dataset_id: id("dataset"),
            text_id: text("dataset", 7),
            owner: owner.to_owned(),
            visibility: "public".to_owned(),
            license: "CC-BY-4.0".to_owned(),
            metadata_uri: "ipfs://data".to_owned(),
            metadata_hash: id("meta"),
            last_version: Some(1),
            flags: String::new(),
            valid_from_block: from,
            valid_to_block: None,
        });
    }
    for (sk, contributor, rows) in [(0, ANN, 10), (1, BOB, 30)] {
        facts.contributions.push(ContributionRow {
            contribution_sk: sk,
            contribution_id: id(&format!("contribution{sk}")),
            dataset_sk: 0,
            contributor: contributor.to_owned(),
            content_hash: id("content"),
            row_count: rows,
            byte_count: 1_000,
            license: "CC-BY-4.0".to_owned(),
            state: "approved".to_owned(),
            quality: Some(900_000),
            flags: "DUPLICATE_CONTENT,LICENSE_CONFLICT".to_owned(),
            submitted_block: 2 + sk,
            valid_from_block: 2 + sk,
            valid_to_block: None,
        });
        facts.dataset_membership.push(MembershipRow {
            dataset_sk: 0,
            contribution_sk: sk,
            from_version: 1,
            to_version: None,
            row_count: rows,
            valid_from_block: 5,
            valid_to_block: None,
        });
    }
    versions(facts);
    agent(facts);
}

fn versions(facts: &mut Rows) {
    facts.dataset_versions.push(DatasetVersionRow {
        version_sk: 0,
        version_id: id("dataset@1"),
        dataset_sk: 0,
        version: 1,
        manifest_root: id("root"),
        added: 2,
        removed: 0,
        total_rows: 40,
        members: Some(2),
        license: "CC-BY-4.0".to_owned(),
        deprecated: false,
        flags: String::new(),
        published_block: 5,
        valid_from_block: 5,
        valid_to_block: None,
    });
    for (sk, kind, block) in [(0, "base", 6), (1, "finetune", 7)] {
        facts.models.push(ModelRow {
            model_sk: sk,
            model_id: id(kind),
            text_id: text("model", u8::try_from(sk).unwrap()),
            owner: OWNER.to_owned(),
            kind: kind.to_owned(),
            metadata_uri: String::new(),
            metadata_hash: id("meta"),
            last_version: Some(1),
            valid_from_block: block,
            valid_to_block: None,
        });
        facts.model_versions.push(ModelVersionRow {
            version_sk: sk,
            version_id: id(&format!("{kind}@1")),
            model_sk: sk,
            version: 1,
            artifact_hash: id("weights"),
            config_hash: id("config"),
            license: "MIT".to_owned(),
            deprecated: false,
            flags: String::new(),
            published_block: block,
            valid_from_block: block,
            valid_to_block: None,
        });
    }
}

fn agent(facts: &mut Rows) {
    facts.agents.push(AgentRow {
        agent_sk: 0,
        agent_id: id("agent"),
        text_id: text("agent", 3),
        owner: BUYER.to_owned(),
        metadata_uri: String::new(),
        last_version: Some(1),
        valid_from_block: 8,
        valid_to_block: None,
    });
    facts.agent_versions.push(AgentVersionRow {
        version_sk: 0,
        version_id: id("agent@1"),
        agent_sk: 0,
        version: 1,
        config_hash: id("config"),
        deprecated: false,
        flags: String::new(),
        published_block: 8,
        valid_from_block: 8,
        valid_to_block: None,
    });
    facts.accounts.push(AccountRow {
        account: ANN.to_owned(),
        payout: Some(BOB.to_owned()),
        quarantined: false,
        valid_from_block: 18,
        valid_to_block: None,
    });
    facts.entity_payouts.push(EntityPayoutRow {
        entity_id: id("finetune"),
        payout: None,
        split: Some(format!(r#"[{{"account":"{OWNER}","share_ppb":1000000000}}]"#)),
        valid_from_block: 9,
        valid_to_block: None,
    });
}

fn edges(facts: &mut Rows) {
    let external = id("external");
    for (relation, from, to, block, share) in [
        ("TRAINED_ON", "finetune@1", "dataset@1", 7, None),
        ("BASED_ON_FINETUNE", "finetune@1", "base@1", 7, Some(200_000_000)),
        ("BASED_ON_FINETUNE", "base@1", "external", 6, None),
        ("USES_MODEL", "agent@1", "finetune@1", 8, Some(1_000_000_000)),
    ] {
        let kind = |name: &str| match name {
            "dataset@1" => "dataset",
            "agent@1" => "agent",
            "external" => "external",
            _ => "model",
        };
        facts.edges.push(EdgeRow {
            relation: relation.to_owned(),
            src_kind: kind(from).to_owned(),
            src_id: id(from),
            src_sk: 0,
            dst_kind: kind(to).to_owned(),
            dst_id: if to == "external" { external.clone() } else { id(to) },
            dst_sk: Some(0).filter(|_| to != "external"),
            share_ppb: share,
            late: false,
            from_block: block,
            flags: String::new(),
            valid_from_block: block,
            valid_to_block: None,
        });
    }
}

fn claims_on_chain(facts: &mut Rows) {
    facts.reward_claims.push(RewardClaimRow {
        epoch: 1,
        event_id: id("claim"),
        block_number: 12,
        log_index: 0,
        tx_hash: id("tx"),
        vault: VAULT.to_owned(),
        root_epoch: 0,
        account: ANN.to_owned(),
        token: NATIVE.to_owned(),
        amount: Decimal38(100),
    });
    facts.published_roots.push(PublishedRootRow {
        epoch: 1,
        block_number: 11,
        log_index: 0,
        vault: VAULT.to_owned(),
        settled_epoch: 0,
        token: NATIVE.to_owned(),
        root: id("root0"),
        total: Decimal38(450),
        last_block: 9,
        ledger_digest: id("ledger"),
    });
}

fn money(tree: &Tree) -> tributary_schemas::money::Rows {
    let mut money = tributary_schemas::money::Rows::default();
    for (epoch, revenue, credited, held, root) in
        [(0, 500, 450, 50, id("root0")), (1, 20, 11, 9, hex_text(tree.root()))]
    {
        money.epochs.push(EpochRow {
            epoch,
            vault: VAULT.to_owned(),
            token: NATIVE.to_owned(),
            first_block: 10 * epoch,
            last_block: 10 * epoch + 9,
            payments: 1,
            revenue: Decimal38(revenue),
            credited: Decimal38(credited),
            held: Decimal38(held),
            rounding: Decimal38(1),
            cumulative: Decimal38(461),
            root,
            ledger_digest: id("ledger"),
            manifest_hash: id("manifest"),
            rule: "tributary-settle/1".to_owned(),
        });
    }
    credits(&mut money);
    for (index, leaf) in tree.leaves().enumerate() {
        money.merkle_leaves.push(MerkleLeafRow {
            epoch: 1,
            vault: VAULT.to_owned(),
            leaf_index: i64::try_from(index).unwrap(),
            leaf: hex_text(leaf.hash),
            account: hex_text(leaf.account),
            token: NATIVE.to_owned(),
            cumulative: Decimal38(i128::try_from(leaf.cumulative).unwrap()),
        });
    }
    money
}

fn credits(money: &mut tributary_schemas::money::Rows) {
    for (epoch, account, role, contribution, amount) in [
        (0, ANN, "data", Some("contribution0"), 100),
        (0, BOB, "data", Some("contribution1"), 300),
        (0, OWNER, "lineage", None, 50),
        (1, ANN, "data", Some("contribution0"), 11),
    ] {
        money.entitlements.push(EntitlementRow {
            epoch,
            vault: VAULT.to_owned(),
            account: account.to_owned(),
            token: NATIVE.to_owned(),
            role: role.to_owned(),
            dataset_id: contribution.map(|_| id("dataset")),
            contribution_id: contribution.map(id),
            model_version_id: Some(id(if role == "lineage" { "base@1" } else { "finetune@1" })),
            agent_version_id: Some(id("agent@1")),
            amount: Decimal38(amount),
            rounding: Decimal38(i128::from(epoch)),
            adjusts_epoch: None,
        });
    }
    for (step, from, to, sub) in
        [("model", "agent@1", "finetune@1", 450_900), ("lineage", "finetune@1", "base@1", 50_000)]
    {
        money.money_flows.push(MoneyFlowRow {
            epoch: 0,
            vault: VAULT.to_owned(),
            token: NATIVE.to_owned(),
            step: step.to_owned(),
            depth: 0,
            src_id: id(from),
            dst_id: id(to),
            amount_sub: Decimal38(sub),
            sub_digits: 3,
        });
    }
    journal(money);
    for (epoch, account, cumulative, claimed) in
        [(0, ANN, 100, 0), (0, BOB, 300, 0), (0, OWNER, 50, 0), (1, ANN, 111, 100), (1, BOB, 300, 0), (1, OWNER, 50, 0)]
    {
        money.claims.push(ClaimRow {
            epoch,
            vault: VAULT.to_owned(),
            account: account.to_owned(),
            token: NATIVE.to_owned(),
            cumulative: Decimal38(cumulative),
            claimed: Decimal38(claimed),
            claimable: Decimal38(cumulative - claimed),
        });
    }
}

fn journal(money: &mut tributary_schemas::money::Rows) {
    for (number, epoch, debit, account, amount) in [
        (1, 0, "clearing", ANN, 100),
        (2, 0, "clearing", BOB, 300),
        (3, 0, "clearing", OWNER, 50),
        (4, 1, "clearing", ANN, 11),
        (5, 1, "", ANN, 100),
    ] {
        let (code, payable) = (if debit.is_empty() { "claim" } else { "credit" }, format!("payable:{account}"));
        let (debit, credit) =
            if debit.is_empty() { (payable, "claimed".to_owned()) } else { (debit.to_owned(), payable) };
        money.ledger_entries.push(LedgerEntryRow {
            epoch,
            entry_id: format!("0x{number:032x}"),
            vault: VAULT.to_owned(),
            token: NATIVE.to_owned(),
            debit,
            credit,
            amount: Decimal38(amount),
            code: code.to_owned(),
            phase: "single".to_owned(),
            source: id("source"),
            adjusts_epoch: None,
        });
    }
}
