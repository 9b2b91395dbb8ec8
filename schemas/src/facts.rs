//! The tables the indexer writes: verified blocks and logs, events, and the rows folded from them.
//!
//! Ids, hashes and addresses are lower-case 0x hex text; amounts are base units; every fact carries the epoch and the
//! position it stands at. `*_sk` are surrogate keys: the ordinal of the first valid mention in canonical order, so a
//! second index of the same chain gives the same tables.

use crate::column::{Binary, Decimal38, Micros};
use crate::table::tables;

tables! {
    /// Verified L2 blocks.
    Fact blocks as BlockRow sort &["number"], key &[], bloom &["hash"] => {
        /// Block number.
        number: i64,
        /// Block hash.
        hash: String,
        /// Hash of the block before.
        parent_hash: String,
        /// Block time.
        timestamp: Micros,
        /// Epoch the block belongs to.
        epoch: i64,
        /// Number of its L1 origin.
        l1_origin_number: Option<i64>,
        /// Transactions in it.
        tx_count: i32,
        /// Logs in it, watched or not.
        log_count: i32,
        /// Events in it, refused ones included.
        event_count: i32,
        /// How finality is known: asserted by one endpoint, by a quorum, or by L1.
        finality: String,
        /// How the block was verified: full, or unverified where the configuration says so or rules read the state of contracts.
        trust: String,
        /// Log root at this block.
        log_root: String,
    }
    /// Every log that a rule of the mapping matched, as verified.
    Fact raw_logs as RawLogRow sort &["block_number", "log_index"], key &[], bloom &["address"] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the transaction in its block.
        tx_index: i64,
        /// Index of the log in its block.
        log_index: i64,
        /// Hash of the transaction.
        tx_hash: String,
        /// Contract that emitted it.
        address: String,
        /// First topic.
        topic0: Option<String>,
        /// Second topic.
        topic1: Option<String>,
        /// Third topic.
        topic2: Option<String>,
        /// Fourth topic.
        topic3: Option<String>,
        /// Data.
        data: Binary,
        /// Value of the transaction in base units of the native token; NULL when it does not fit.
        tx_value: Option<Decimal38>,
    }
    /// What rules asked of the state of contracts at the end of a block, and what nodes answered. No hash vouches for it: the
    /// block's `trust` is `unverified`, and everybody can ask again (`eth_call` by block hash, 10 million gas).
    Fact state_reads as StateReadRow sort &["block_number", "ordinal"], key &[], bloom &["contract"] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Ordinal among the reads of the block, which are sorted by contract and calldata.
        ordinal: i64,
        /// Hash of the block.
        block_hash: String,
        /// Contract that was asked.
        contract: String,
        /// Selector and arguments.
        calldata: Binary,
        /// What came of it: returned, reverted (or ended otherwise without an answer), or oversize (more than 32 KiB).
        outcome: String,
        /// What was returned; empty when nothing was.
        answer: Binary,
        /// Hosts of the L2 that said so.
        agreeing: i64,
    }
    /// Every event, refused ones included.
    Fact events as EventRow sort &["block_number", "tx_index", "log_index", "sub_index"], key &[], bloom &["event_id"] => {
        /// Epoch of the block.
        epoch: i64,
        /// Identity of the event.
        event_id: String,
        /// Block number.
        block_number: i64,
        /// Index of the transaction; 4294967295 for a system fact.
        tx_index: i64,
        /// Block-wide index of the log; 4294967295 for none.
        log_index: i64,
        /// Ordinal among the facts of one log.
        sub_index: i64,
        /// Hash of the transaction.
        tx_hash: Option<String>,
        /// Contract that said it; the zero address for a system fact.
        emitter: String,
        /// Where it comes from: log, transaction (by the value it carried), blob or system.
        source: String,
        /// Kind of the event.
        kind: String,
        /// Version of the vocabulary.
        schema_version: i32,
        /// Rule of the mapping that made it.
        rule: String,
        /// Whether it holds.
        valid: bool,
        /// Why it was refused.
        reason: Option<String>,
        /// What is odd about it, comma-separated.
        flags: String,
        /// What it says, as canonical JSON.
        payload: String,
    }
    /// The refused events, with what was wrong.
    Fact rejected_events as RejectedEventRow sort &["block_number", "log_index", "sub_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Identity of the event.
        event_id: String,
        /// Block number.
        block_number: i64,
        /// Index of the transaction; 4294967295 for a system fact.
        tx_index: i64,
        /// Block-wide index of the log; 4294967295 for none.
        log_index: i64,
        /// Ordinal among the facts of one log.
        sub_index: i64,
        /// Contract that said it.
        emitter: String,
        /// Kind of the event.
        kind: String,
        /// Reason code.
        reason: String,
        /// The value that was wrong and what was expected.
        detail: String,
        /// What it says, as canonical JSON.
        payload: String,
    }
    /// Blobs that facts refer to, with their outcome.
    Fact blobs as BlobRow sort &["block_number", "log_index"], key &[], bloom &["payload_hash"] => {
        /// Epoch of the reference.
        epoch: i64,
        /// Block number of the reference.
        block_number: i64,
        /// Index of the log of the reference.
        log_index: i64,
        /// The reference as the contract gave it.
        reference: String,
        /// Form of the reference: keccak, certificate or unknown.
        form: String,
        /// keccak256 of the commitment; NULL when the reference is none.
        commitment_hash: Option<String>,
        /// Version of the certificate, 1 to 4; NULL when there is none.
        cert_version: Option<i32>,
        /// What names the blob on EigenDA's network; NULL without a certificate.
        blob_key: Option<String>,
        /// Account that had the blob dispersed, recovered from its signature; NULL without a certificate.
        dispersed_by: Option<String>,
        /// Field elements of 32 bytes in the blob; NULL without a certificate.
        length: Option<i64>,
        /// What it belongs to: batch or manifest.
        owner_kind: String,
        /// Id of the batch or dataset version.
        owner_id: String,
        /// keccak256 of the payload that was committed to; NULL for a manifest.
        payload_hash: Option<String>,
        /// Bytes of the payload; NULL while unknown.
        payload_bytes: Option<i64>,
        /// Outcome: verified, void or missing.
        status: String,
        /// How far the reference was verified: content for a payload's hash, else L0 (parsed), L1 (in its batch), L2
        /// (signed) or L3 (by enough stake); NULL when not even parsed.
        level: Option<String>,
        /// How far the bytes were verified: D1 (they decode) or D2 (they are what was committed to); NULL while there
        /// are none.
        data_level: Option<String>,
        /// full, or unverified when nobody could be asked whether enough stake signed (L2 only).
        trust: String,
        /// Where it was found.
        source: Option<String>,
        /// What was wrong with it.
        detail: Option<String>,
        /// Block whose fact it is, of one that was found after it had been declared missing, which has a row of its own
        /// still; NULL for all others.
        found_block: Option<i64>,
    }
    /// Accounts with settings.
    State accounts as AccountRow sort &["account", "valid_from_block"], key &["account"], bloom &["account"] => {
        /// The account.
        account: String,
        /// Where its money goes; NULL when unset.
        payout: Option<String>,
        /// Whether its money waits.
        quarantined: bool,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Splits and payout addresses of entities.
    State entity_payouts as EntityPayoutRow sort &["entity_id", "valid_from_block"], key &["entity_id"], bloom &["entity_id"] => {
        /// The entity.
        entity_id: String,
        /// Where its money goes; NULL when unset.
        payout: Option<String>,
        /// Its split as JSON: an array of `{account, share_ppb}` in the order of accounts; NULL when unset.
        split: Option<String>,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Datasets.
    State datasets as DatasetRow sort &["dataset_sk", "valid_from_block"], key &["dataset_sk"], bloom &["dataset_id"] => {
        /// Surrogate key.
        dataset_sk: i64,
        /// Id.
        dataset_id: String,
        /// Text form of the id.
        text_id: String,
        /// Owner.
        owner: String,
        /// public, permissioned or private.
        visibility: String,
        /// Licence id.
        license: String,
        /// Where the description is.
        metadata_uri: String,
        /// Hash of the description.
        metadata_hash: String,
        /// Last version published; NULL before the first.
        last_version: Option<i64>,
        /// What is odd about it.
        flags: String,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Versions of datasets.
    State dataset_versions as DatasetVersionRow sort &["version_sk", "valid_from_block"], key &["version_sk"], bloom &["version_id"] => {
        /// Surrogate key.
        version_sk: i64,
        /// Id.
        version_id: String,
        /// Surrogate key of the dataset.
        dataset_sk: i64,
        /// Version number.
        version: i64,
        /// Root over its members.
        manifest_root: String,
        /// Contributions added.
        added: i64,
        /// Contributions removed.
        removed: i64,
        /// Rows, as declared.
        total_rows: i64,
        /// Members; NULL while the manifest is not known.
        members: Option<i64>,
        /// Licence id.
        license: String,
        /// Whether it is deprecated.
        deprecated: bool,
        /// What is odd about it.
        flags: String,
        /// Block it was published at.
        published_block: i64,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Contributions to datasets.
    State contributions as ContributionRow sort &["contribution_sk", "valid_from_block"], key &["contribution_sk"], bloom &["contribution_id"] => {
        /// Surrogate key.
        contribution_sk: i64,
        /// Id.
        contribution_id: String,
        /// Surrogate key of the dataset.
        dataset_sk: i64,
        /// Who contributed it.
        contributor: String,
        /// Hash of the content.
        content_hash: String,
        /// Rows in it.
        row_count: i64,
        /// Bytes in it.
        byte_count: i64,
        /// Licence id.
        license: String,
        /// submitted, approved, rejected, flagged or removed.
        state: String,
        /// Quality the last reviewer gave.
        quality: Option<i64>,
        /// What is odd about it.
        flags: String,
        /// Block it was submitted at.
        submitted_block: i64,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Which contributions are in which versions of a dataset, as intervals of versions.
    State dataset_membership as MembershipRow sort &["dataset_sk", "contribution_sk", "from_version"], key &["dataset_sk", "contribution_sk", "from_version"], bloom &[] => {
        /// Surrogate key of the dataset.
        dataset_sk: i64,
        /// Surrogate key of the contribution.
        contribution_sk: i64,
        /// First version that holds it.
        from_version: i64,
        /// First version that no longer holds it; NULL while the last one does.
        to_version: Option<i64>,
        /// Rows of the contribution: its weight when money goes to the dataset as a whole.
        row_count: i64,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Models and adapters.
    State models as ModelRow sort &["model_sk", "valid_from_block"], key &["model_sk"], bloom &["model_id"] => {
        /// Surrogate key.
        model_sk: i64,
        /// Id.
        model_id: String,
        /// Text form of the id.
        text_id: String,
        /// Owner.
        owner: String,
        /// base, finetune, adapter, merge, quantized or distilled.
        kind: String,
        /// Where the description is.
        metadata_uri: String,
        /// Hash of the description.
        metadata_hash: String,
        /// Last version published; NULL before the first.
        last_version: Option<i64>,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Versions of models.
    State model_versions as ModelVersionRow sort &["version_sk", "valid_from_block"], key &["version_sk"], bloom &["version_id"] => {
        /// Surrogate key.
        version_sk: i64,
        /// Id.
        version_id: String,
        /// Surrogate key of the model.
        model_sk: i64,
        /// Version number.
        version: i64,
        /// Hash of the weights.
        artifact_hash: String,
        /// Hash of the configuration.
        config_hash: String,
        /// Licence id.
        license: String,
        /// Whether it is deprecated.
        deprecated: bool,
        /// What is odd about it.
        flags: String,
        /// Block it was published at.
        published_block: i64,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Agents.
    State agents as AgentRow sort &["agent_sk", "valid_from_block"], key &["agent_sk"], bloom &["agent_id"] => {
        /// Surrogate key.
        agent_sk: i64,
        /// Id.
        agent_id: String,
        /// Text form of the id.
        text_id: String,
        /// Owner.
        owner: String,
        /// Where the description is.
        metadata_uri: String,
        /// Last version published; NULL before the first.
        last_version: Option<i64>,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Versions of agents.
    State agent_versions as AgentVersionRow sort &["version_sk", "valid_from_block"], key &["version_sk"], bloom &["version_id"] => {
        /// Surrogate key.
        version_sk: i64,
        /// Id.
        version_id: String,
        /// Surrogate key of the agent.
        agent_sk: i64,
        /// Version number.
        version: i64,
        /// Hash of the configuration.
        config_hash: String,
        /// Whether it is deprecated.
        deprecated: bool,
        /// What is odd about it.
        flags: String,
        /// Block it was published at.
        published_block: i64,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Edges of the graph between versions, derived → source.
    State edges as EdgeRow sort &["relation", "src_id", "dst_id"], key &["relation", "src_id", "dst_id"], bloom &["src_id", "dst_id"] => {
        /// Relation.
        relation: String,
        /// Kind of the derived version's entity: dataset, model or agent.
        src_kind: String,
        /// Id of the derived version.
        src_id: String,
        /// Surrogate key of the derived version, within its kind.
        src_sk: i64,
        /// Kind of the source: dataset, model, agent or external.
        dst_kind: String,
        /// Id of the source version or external thing.
        dst_id: String,
        /// Surrogate key of the source, within its kind; NULL for an external thing.
        dst_sk: Option<i64>,
        /// Share in 10^-9; NULL when none was given.
        share_ppb: Option<i64>,
        /// Whether it was asserted after the derived version was published: such an edge carries money from the next epoch on.
        late: bool,
        /// Block it was declared at.
        from_block: i64,
        /// What is odd about it.
        flags: String,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which it was retracted or changed; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Attribution methods.
    Fact methods as MethodRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// Id.
        method_id: String,
        /// Who registered it.
        registrant: String,
        /// What its scores mean: signed, non-negative or share.
        value_kind: String,
        /// How far it can be checked.
        verifiability: String,
        /// Hash of its parameters.
        params_hash: String,
        /// Its name.
        name: String,
    }
    /// Inferences recorded on chain.
    Fact recorded_inferences as RecordedInferenceRow sort &["block_number", "log_index"], key &[], bloom &["inference_id"] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// Id.
        inference_id: String,
        /// Version that answered.
        subject_id: String,
        /// Who asked.
        payer: String,
        /// Hash of the question.
        request_hash: String,
        /// Hash of the answer.
        response_hash: String,
        /// Tokens read.
        tokens_in: i64,
        /// Tokens written.
        tokens_out: i64,
    }
    /// Money in.
    Fact payments as PaymentRow sort &["payment_sk"], key &[], bloom &["payment_id", "payer"] => {
        /// Epoch of the block it was paid in.
        epoch: i64,
        /// Surrogate key.
        payment_sk: i64,
        /// Id.
        payment_id: String,
        /// Identity of the event.
        event_id: String,
        /// Block number.
        block_number: i64,
        /// Index of the transaction.
        tx_index: i64,
        /// Index of the log.
        log_index: i64,
        /// Hash of the transaction.
        tx_hash: String,
        /// Block time.
        timestamp: Micros,
        /// Vault that received it.
        vault: String,
        /// Kind of the subject: agent or model.
        subject_kind: String,
        /// Version it was paid for.
        subject_id: String,
        /// Surrogate key of that version, within its kind.
        subject_sk: i64,
        /// Who paid.
        payer: String,
        /// Token; the zero address is the native token.
        token: String,
        /// Base units.
        amount: Decimal38,
        /// Inference or batch it names; NULL for none.
        reference: Option<String>,
        /// What stands behind it: asserted, vault, transfer or value.
        backing: String,
        /// What is odd about it.
        flags: String,
    }
    /// Money back to payers.
    Fact refunds as RefundRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Identity of the event.
        event_id: String,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// The payment.
        payment_sk: i64,
        /// Id of the payment.
        payment_id: String,
        /// To whom.
        account: String,
        /// Token of the payment.
        token: String,
        /// Base units.
        amount: Decimal38,
    }
    /// Emissions.
    Fact pool_fundings as PoolFundingRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Identity of the event.
        event_id: String,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// Vault that received it.
        vault: String,
        /// The pool: a model's entity id, or zero.
        pool: String,
        /// Epoch it is for.
        for_epoch: i64,
        /// Token.
        token: String,
        /// Base units.
        amount: Decimal38,
    }
    /// Batches of attribution records and their outcome.
    State attribution_batches as BatchRow sort &["batch_sk", "valid_from_block"], key &["batch_sk"], bloom &["batch_id"] => {
        /// Surrogate key.
        batch_sk: i64,
        /// Id.
        batch_id: String,
        /// Epoch of the reference.
        epoch: i64,
        /// Block number of the reference.
        reference_block: i64,
        /// Index of the log of the reference.
        reference_log: i64,
        /// The hub.
        hub: String,
        /// Who committed it.
        producer: String,
        /// Method.
        method_id: String,
        /// Ordinal per hub and producer.
        seq: i64,
        /// Inferences, as committed.
        inferences: i64,
        /// Records, as committed.
        records: i64,
        /// Records accepted; NULL unless resolved.
        accepted: Option<i64>,
        /// keccak256 of the file.
        payload_hash: String,
        /// Root over its inferences.
        records_root: String,
        /// Where the blob is.
        blob_ref: String,
        /// resolved, malformed, unavailable, final, rejected or superseded.
        state: String,
        /// Whether a challenge is open.
        challenged: bool,
        /// First block of this state.
        valid_from_block: i64,
        /// Block at which another state began; NULL while it holds.
        valid_to_block: Option<i64>,
    }
    /// Inferences of resolved batches.
    Fact inferences as InferenceRow sort &["batch_sk", "inference"], key &[], bloom &["inference_id"] => {
        /// Epoch of the batch's reference.
        epoch: i64,
        /// Surrogate key of the batch.
        batch_sk: i64,
        /// Ordinal in the batch.
        inference: i32,
        /// Id.
        inference_id: String,
        /// Kind of the subject: agent or model.
        subject_kind: String,
        /// Surrogate key of the version that answered, within its kind.
        subject_sk: i64,
        /// Id of the version that answered.
        subject_id: String,
        /// Relative fee.
        fee_weight: i64,
        /// Sum of the relative fees before it in the batch.
        fee_before: i64,
        /// Sum of the relative fees of the batch.
        fee_total: i64,
        /// Accepted records.
        records: i32,
        /// Sum of the weights of its records.
        weight_total: i64,
        /// Whether an earlier batch of the same method covers it; then it carries no money.
        superseded: bool,
        /// What is odd about it.
        flags: String,
    }
    /// Attribution records, with the integer weight each gets by the method's own normaliser.
    Fact attributions as AttributionRow sort &["batch_sk", "inference", "target_kind", "target_sk", "row"], key &[], bloom &[] => {
        /// Epoch of the batch's reference.
        epoch: i64,
        /// Surrogate key of the batch.
        batch_sk: i64,
        /// Ordinal of the inference in the batch.
        inference: i32,
        /// Kind of the target: 1 dataset version, 2 contribution, 3 model version.
        target_kind: i32,
        /// Surrogate key of the target, within its kind.
        target_sk: i64,
        /// Row inside a contribution.
        row: Option<i32>,
        /// Raw signed score.
        score: i64,
        /// Weight: the positive part of the score when the target is in lineage at the reference, else zero.
        weight: i64,
        /// Sum of the weights before it in the inference, in the order of (target id, row).
        weight_before: i64,
        /// Sum of the weights of the inference.
        weight_total: i64,
        /// Flags as a bit set, such as `OUT_OF_LINEAGE`.
        flags: i32,
    }
    /// Policies as recorded.
    Fact policies as PolicyRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the transaction.
        tx_index: i64,
        /// Index of the log.
        log_index: i64,
        /// Vault that set it.
        vault: String,
        /// The entity it is for; zero for all.
        scope: String,
        /// keccak256 of its bytes.
        policy_hash: String,
        /// Ordinal per scope.
        version: i64,
        /// The policy, as canonical JSON.
        policy: String,
    }
    /// Stakes as recorded.
    Fact stakes as StakeRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// The pool: a model's entity id, or zero.
        pool: String,
        /// Whose.
        account: String,
        /// By how much.
        delta: Decimal38,
        /// To how much.
        balance_after: Decimal38,
    }
    /// Slashes as recorded.
    Fact slashes as SlashRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// The pool.
        pool: String,
        /// Whose.
        account: String,
        /// Over what.
        subject: String,
        /// By how much.
        amount: Decimal38,
        /// Why, by the contract's number.
        cause: i32,
    }
    /// Penalty scores as recorded.
    Fact penalties as PenaltyRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// Whose.
        account: String,
        /// Where; zero for everywhere.
        scope: String,
        /// Score in 10^-6.
        score: i64,
        /// Why.
        reason: String,
    }
    /// Roles as recorded.
    Fact roles as RoleRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// The dataset, or the scope of a producer.
        scope: String,
        /// The account.
        account: String,
        /// validator, curator, contributor or producer.
        role: String,
        /// Got or lost.
        granted: bool,
    }
    /// Access grants as recorded.
    Fact access as AccessRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// The dataset.
        dataset_id: String,
        /// To whom.
        grantee: String,
        /// train, infer or read.
        scope: String,
        /// Until when.
        expires_at: Micros,
        /// Hash of the terms.
        terms_hash: String,
    }
    /// Attestations as recorded.
    Fact attestations as AttestationRow sort &["block_number", "log_index"], key &[], bloom &["subject"] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// Id.
        attestation_id: String,
        /// Schema.
        schema: String,
        /// What it is about.
        subject: String,
        /// Who says so.
        attester: String,
        /// Value, if it has one.
        value: Option<i64>,
        /// Decimals of the value.
        decimals: i32,
        /// Tag.
        tag: String,
        /// Where more is.
        uri: String,
        /// Whether this row takes it back.
        revoked: bool,
    }
    /// Roots that a vault published.
    Fact published_roots as PublishedRootRow sort &["block_number", "log_index"], key &[], bloom &[] => {
        /// Epoch of the block.
        epoch: i64,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// The vault.
        vault: String,
        /// Epoch the root is of.
        settled_epoch: i64,
        /// Token.
        token: String,
        /// The root.
        root: String,
        /// Cumulative total of the token.
        total: Decimal38,
        /// Last block of the epoch.
        last_block: i64,
        /// Digest of the journal.
        ledger_digest: String,
    }
    /// Rewards paid out on chain.
    Fact reward_claims as RewardClaimRow sort &["block_number", "log_index"], key &[], bloom &["account"] => {
        /// Epoch of the block.
        epoch: i64,
        /// Identity of the event.
        event_id: String,
        /// Block number.
        block_number: i64,
        /// Index of the log.
        log_index: i64,
        /// Hash of the transaction.
        tx_hash: String,
        /// The vault.
        vault: String,
        /// Epoch of the root it was proved against.
        root_epoch: i64,
        /// To whom.
        account: String,
        /// Token.
        token: String,
        /// Base units paid out.
        amount: Decimal38,
    }
    /// Which posting on L1 carries each L2 block, once both are final; a block that lies in several postings has a row
    /// for each. It may be ahead of `blocks`, which wait for it unless the configuration says otherwise. The log root
    /// does not cover it.
    Fact anchors as AnchorRow sort &["l2_block", "part"], key &[], bloom &["commitment_hash", "versioned_hash"] => {
        /// Epoch of the L2 block.
        epoch: i64,
        /// Number of the L2 block.
        l2_block: i64,
        /// Hash of the L2 block.
        l2_hash: String,
        /// anchored; `not_anchored`: its sequencing window passed and nothing that was posted in it carries the block; unknown: likewise, but something posted there could not be read.
        state: String,
        /// Which of its postings this is, from 0 in L1 order.
        part: i32,
        /// Number of the L1 block of the posting; NULL, like all that follows, when nothing carries the block.
        l1_block: Option<i64>,
        /// Hash of the L1 block.
        l1_hash: Option<String>,
        /// Hash of the L1 transaction.
        l1_tx: Option<String>,
        /// How it was posted: calldata, blob (EIP-4844), keccak or eigenda (alt-DA commitments).
        form: Option<String>,
        /// Versioned hash of the EIP-4844 blob; NULL, like its index, for everything else.
        versioned_hash: Option<String>,
        /// Place of the EIP-4844 blob among those of the transaction, from 0.
        blob_index: Option<i64>,
        /// keccak256 of the alt-DA commitment without the derivation byte of the calldata; NULL for calldata and blobs.
        commitment_hash: Option<String>,
        /// Blob key of the EigenDA certificate.
        blob_key: Option<String>,
        /// The account that dispersed the EigenDA blob, by its signature.
        dispersed_by: Option<String>,
        /// What was verified of the certificate: L0 to L3, content for a keccak commitment.
        level: Option<String>,
        /// What was verified of the payload: D1 or D2; content for a keccak commitment and for an EIP-4844 blob, whose KZG commitment was made again and is the versioned hash's.
        data_level: Option<String>,
        /// Name of the channel.
        channel: Option<String>,
        /// First frame of the channel in this posting that carries the batch.
        frame_first: Option<i32>,
        /// Last such frame.
        frame_last: Option<i32>,
        /// Kind of the batch: singular or span.
        batch_kind: Option<String>,
        /// Index of the batch in the channel.
        batch_index: Option<i64>,
        /// Whether the parent that the batch names for its first block was seen to be right; false when that block was not read, or when nothing carries the block.
        parent_checked: bool,
    }
    /// What reward vaults held at the end of an epoch, read from nodes by the hash of its last block. An input of the
    /// settlement of that epoch, published with it: what was not read has no row and is not compared.
    Fact vault_balances as VaultBalanceRow sort &["epoch", "vault", "token"], key &[], bloom &[] => {
        /// The epoch.
        epoch: i64,
        /// Its last block.
        block_number: i64,
        /// Hash of that block.
        block_hash: String,
        /// Vault.
        vault: String,
        /// Token; the zero address is the native token.
        token: String,
        /// Base units the vault held after that block; 10^38 − 1 stands for that or more.
        balance: Decimal38,
        /// Base units of them that are stake, which no claim is paid from.
        stake: Decimal38,
        /// How the balance is known: proved, by an account proof that leads to the block's hash; read, as hosts said;
        /// imported, as the manifest of another index has it.
        known: String,
        /// Hosts that said so: more than half of those that can know it; 1 where it is proved, 0 where it is imported.
        endpoints: i32,
    }
}
