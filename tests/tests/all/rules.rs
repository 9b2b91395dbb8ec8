//! The rules of settlement as an accountant would check them: what happened, and every line of every statement.
//!
//! One test a rule. [`scene`] says how to read the text; each scene is settled by the product and by the auditor.

mod events;
mod funding;
mod origin;
mod policy;
mod registry;
mod scene;
mod statement;

pub(crate) use scene::check;

#[tokio::test]
async fn a_payment_is_split_over_its_channels() {
    check(
        "policy platform 5 agent 15 model 30 data 50
         data apples of fruit by alice
         model base by bob
         agent bot by carol uses base
         batch b1
           bot: apples 1
         pay 1000 by dave for bot
         settle
           treasury platform 50
           carol agent bot 150
           bob model base 300
           alice data apples 500
           = clearing 0
           = escrow 50
           = distributor 950
           = payable 950
           = treasury 50
           ~ alice 500",
    )
    .await;
}

#[tokio::test]
async fn a_channel_with_nobody_in_it_goes_to_the_others() {
    check(
        "policy platform 10 agent 20 model 30 data 40
         model base by bob
         pay 100 by dave for base
         settle                        # no agent: 10, 30 and 40 parts of 80
           treasury platform 12        # 12.5 and 37.5: the tie goes to the address
           bob model base 38
           suspense no_manifest base 50",
    )
    .await;
    check(
        "policy stakers 100
         model base by bob
         pay 100 by dave for base
         settle
           suspense no_channel 100",
    )
    .await;
}

#[tokio::test]
async fn a_flat_fee_comes_off_the_top_and_no_more_than_there_is() {
    check(
        "policy data 100 flat 30
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot
         pay 20 by dave for bot
         settle
           treasury platform 50
           alice data apples 70",
    )
    .await;
}

#[tokio::test]
async fn the_policy_in_force_at_the_payment_decides() {
    check(
        "model base by bob
         policy platform 100
         pay 100 by dave for base
         policy model 100
         pay 100 by dave for base
         policy platform 100 for base
         pay 7 by dave for base
         settle
           treasury platform 107
           bob model base 100",
    )
    .await;
}

#[tokio::test]
async fn models_pass_on_a_part_of_what_they_get() {
    check(
        "policy model 100 pass 25
         model root by rita
         model base by bob on root
         model tuned by tina on base
         pay 1600 by dave for tuned
         settle
           tina model tuned 1200
           bob lineage base 300
           rita lineage root 100",
    )
    .await;
    check(
        "policy model 100 pass 50 depth 1
         model root by rita
         model base by bob on root
         model tuned by tina on base
         pay 1000 by dave for tuned
         settle                        # one generation and no more
           tina model tuned 500
           bob lineage base 500",
    )
    .await;
}

#[tokio::test]
async fn a_diamond_pays_its_root_once_for_all_paths() {
    check(
        "policy model 100 pass 50
         model root by rita
         model left by lena on root
         model right by ruth on root
         model tuned by tina on left 30 on right 70
         pay 1000 by dave for tuned
         settle
           tina model tuned 500
           lena lineage left 75
           ruth lineage right 175
           rita lineage root 250",
    )
    .await;
}

#[tokio::test]
async fn a_missing_share_takes_an_equal_part_of_the_rest() {
    check(
        "policy model 100 pass 50
         model one by ann
         model two by ben
         model three by cleo
         model tuned by tina on one 40 on two on three
         pay 1000 by dave for tuned
         settle                        # 40, 30 and 30 of 500
           tina model tuned 500
           ann lineage one 200
           ben lineage two 150
           cleo lineage three 150",
    )
    .await;
}

#[tokio::test]
async fn absolute_shares_are_of_what_was_paid_for() {
    let graph = "model root by rita
         model base by bob on root 20
         model tuned by tina on base 10
         pay 1000 by dave for tuned
         settle";
    check(&format!(
        "policy model 100 absolute pass 50
         {graph}
           tina model tuned 700
           bob lineage base 100
           rita lineage root 200       # a fifth of 1000, not of what base got"
    ))
    .await;
    check(&format!(
        "policy model 100 absolute pass 15
         {graph}                       # 30 are declared, 15 may pass
           tina model tuned 850
           bob lineage base 50
           rita lineage root 100"
    ))
    .await;
    check(&format!(
        "policy model 100 absolute pass 50 depth 1
         {graph}
           tina model tuned 900
           bob lineage base 100"
    ))
    .await;
    check(
        "policy model 100 absolute pass 90
         model root by rita
         model left by lena on root 20
         model right by ruth on root 20
         model tuned by tina on left 10 on right
         pay 1000 by dave for tuned
         settle                        # root by two paths, right without a share of its own
           tina model tuned 500
           lena lineage left 100
           rita lineage root 400",
    )
    .await;
}

#[tokio::test]
async fn what_is_outside_the_chain_is_not_paid() {
    check(
        "policy model 100 pass 25
         model tuned by tina on outside 90
         pay 1000 by dave for tuned
         settle
           tina model tuned 1000
           ? tina based on models outside this chain only",
    )
    .await;
    check(
        "policy model 100 pass 25
         model base by bob
         model tuned by tina on outside 60 on base 40
         pay 1000 by dave for tuned
         settle                        # base is alone with the quarter
           tina model tuned 750
           bob lineage base 250",
    )
    .await;
}

#[tokio::test]
async fn an_edge_asserted_later_counts_from_the_next_epoch() {
    check(
        "policy model 100 pass 50
         model base by bob
         model tuned by tina
         edge tuned on base
         pay 100 by dave for tuned
         settle
           tina model tuned 100
         pay 100 by dave for tuned
         settle
           tina model tuned 50
           bob lineage base 50",
    )
    .await;
}

#[tokio::test]
async fn data_is_paid_by_fee_and_then_by_influence() {
    check(
        "policy data 100
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1
           bot fee 3: apples 1, pears 1
           bot fee 1: apples -7, pears 2    # negative influence earns nothing and takes nothing
         pay 400 by dave for bot
         settle
           alice data apples 150
           bob data pears 250",
    )
    .await;
    check(
        "policy data 100
         data apples of fruit by alice
         data weeds of fruit by wilma stranger
         agent bot by carol
         batch b1
           bot fee 0: apples 30, weeds! 90  # out of lineage
           bot fee 0: apples#1 1, apples#2 1
         pay 100 by dave for bot
         settle
           alice data apples 100",
    )
    .await;
}

#[tokio::test]
async fn rounding_gives_what_is_left_to_the_largest_remainders() {
    check(
        "policy data 100
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1
           bot: apples 1, pears 2
         pay 100 by dave for bot
         settle                        # 33.3 and 66.7
           alice data apples 33
           bob data pears 67",
    )
    .await;
}

#[tokio::test]
async fn a_record_may_name_a_whole_dataset_or_a_model() {
    check(
        "policy data 100
         data apples of fruit by alice rows 3
         data pears of fruit by bob rows 1
         model base by mia
         agent bot by carol
         batch b1
           bot: fruit 1, base 1
         pay 200 by dave for bot
         settle
           alice data apples 75
           bob data pears 25
           mia data base 100",
    )
    .await;
}

#[tokio::test]
async fn without_usable_records_the_policy_decides() {
    let world = "data apples of fruit by alice rows 3
         data pears of fruit by bob rows 1
         model base by mia trained fruit
         agent bot by carol uses base
         batch b1
           bot: apples -1
         pay 100 by dave for bot
         settle";
    for (policy, lines) in [
        ("", "alice data apples 75\n bob data pears 25"),
        ("zero hold", "suspense zero_total base 100"),
        ("zero treasury", "treasury data base 100"),
        ("abs", "alice data apples 100"),
    ] {
        let lines = lines.replace('\n', "\n            ");
        check(&format!("         policy data 100 {policy}\n         {world}\n            {lines}")).await;
    }
}

#[tokio::test]
async fn thresholds_and_copies_change_the_weights() {
    let world = "data apples of fruit by alice
         data same of fruit by eve copy apples
         data pears of fruit by bob
         data crumbs of fruit by cleo
         agent bot by carol
         batch b1
           bot: apples 40, same 40, pears 16, crumbs 4";
    for (policy, paid, lines) in [
        ("", 100, "alice data apples 40\n eve data same 40\n bob data pears 16\n cleo data crumbs 4"),
        ("min_share 5", 96, "alice data apples 40\n eve data same 40\n bob data pears 16"),
        ("keep 80", 100, "alice data apples 50\n eve data same 50"),
        ("keep 81", 96, "alice data apples 40\n eve data same 40\n bob data pears 16"),
        ("dedupe first", 60, "alice data apples 40\n bob data pears 16\n cleo data crumbs 4"),
        ("dedupe split", 60, "alice data apples 20\n eve data same 20\n bob data pears 16\n cleo data crumbs 4"),
        ("dedupe first min_share 7 keep 72", 56, "alice data apples 40\n bob data pears 16"),
        ("dedupe first min_share 7 keep 70", 56, "alice data apples 56"),
    ] {
        let lines = lines.replace('\n', "\n           ");
        check(&format!(
            "         policy data 100 {policy}
         {world}
         pay {paid} by dave for bot
         settle
            {lines}"
        ))
        .await;
    }
}

#[tokio::test]
async fn what_was_removed_is_shared_out_or_goes_to_the_treasury() {
    let world = "data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1
           bot: apples 1, pears 3
         pay 100 by dave for bot
         remove apples
         settle";
    for (policy, lines) in
        [("", "bob data pears 100"), ("removed treasury", "treasury data apples 25\n bob data pears 75")]
    {
        let lines = lines.replace('\n', "\n            ");
        check(&format!("         policy data 100 {policy}\n         {world}\n            {lines}")).await;
    }
}

#[tokio::test]
async fn a_payment_about_something_waits_for_it_and_no_longer() {
    check(
        "policy data 100 unattributed 4
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         pay 60 by dave for bot about b1/1      # before its batch
         batch b1
           bot: apples 1
           bot: pears 1
         pay 100 by dave for bot about b1
         pay 7 by dave for bot about nothing
         settle
           alice data apples 50
           bob data pears 110
         wait 4
         settle
           suspense no_manifest bot 7
         missing b2
         pay 9 by dave for bot about b2
         settle
           suspense blob_missing bot 9",
    )
    .await;
}

#[tokio::test]
async fn a_payment_settles_once() {
    check(
        "policy data 100 unattributed 4
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 10 by dave for bot about b1
         settle
           alice data apples 10
         amend p1 about nothing        # now it would be ripe in this epoch
         wait 4
         settle
           refused INV-07",
    )
    .await;
}

#[tokio::test]
async fn what_may_be_challenged_waits() {
    let world = "policy data 100 challenge 3 resolve 4
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot about b1
         settle
           alice pending:data apples 100
           = pending 100
           = escrow 100";
    check(&format!(
        "{world}
         wait 2
         settle                        # the window is over
           alice posted 100
           = pending 0
           = distributor 100
           ~ alice 100"
    ))
    .await;
    for upheld in ["uphold", "replace"] {
        check(&format!(
            "{world}
         challenge b1
         {upheld} b1
         settle
           nothing
           = pending 0
           = suspense:batch_rejected 100"
        ))
        .await;
    }
    check(&format!(
        "{world}
         challenge b1
         wait 3
         settle                        # nobody resolved it yet
           nothing
           = pending 100
         wait 1
         settle                        # nobody did in time
           alice posted 100"
    ))
    .await;
    check(&format!(
        "{world}
         challenge b1
         reject b1
         wait 1
         settle
           alice posted 100"
    ))
    .await;
}

#[tokio::test]
async fn the_window_is_the_longer_of_the_payment_s_and_the_hub_s() {
    check(
        "policy data 100 challenge 5
         data apples of fruit by alice
         agent bot by carol
         policy data 100 for bot       # no window of its own: a batch can be challenged all the same
         batch b1
           bot: apples 1
         pay 100 by dave for bot about b1
         settle
           alice pending:data apples 100
         challenge b1
         uphold b1
         settle
           nothing
           = suspense:batch_rejected 100",
    )
    .await;
}

#[tokio::test]
async fn the_first_batch_that_counts_has_an_inference() {
    let world = "policy data 100
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1
           bot id x: apples 1
         batch b2
           bot id x: pears 1";
    check(&format!(
        "{world}
         pay 100 by dave for bot about b1/x
         pay 10 by dave for bot
         settle
           alice data apples 110"
    ))
    .await;
    for gone in ["uphold", "replace"] {
        check(&format!(
            "{world}
         challenge b1
         {gone} b1
         pay 100 by dave for bot about b1/x
         pay 10 by dave for bot
         settle                        # then the next has it
           bob data pears 110"
        ))
        .await;
    }
    check(
        "policy data 100 method n
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1 method m
           bot id x: apples 1
         batch b2 method n
           bot id x: pears 1
         pay 100 by dave for bot about b1/x
         settle                        # each method has its own first
           bob data pears 100",
    )
    .await;
}

#[tokio::test]
async fn penalties_go_by_scope_and_step() {
    let world = "data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot";
    for (policy, penalties, lines) in [
        ("", "penalty 49 of alice", "alice data apples 100"), // below the first step
        ("", "penalty 50 of alice", "alice data apples 40\n treasury data apples 60"),
        ("withheld hold", "penalty 50 of alice in fruit", "alice data apples 40\n suspense penalty apples 60"),
        ("", "penalty 95 of alice in apples\n penalty 50 of alice", "treasury data apples 100"),
        ("", "penalty 95 of alice\n penalty 0 of alice", "alice data apples 100"), // the last score counts
        ("", "penalty 95 of alice in bot", "alice data apples 100"),               // another scope
        ("treasury tom", "penalty 50 of alice", "alice data apples 40\n tom data apples 60"),
    ] {
        let (lines, penalties) = (lines.replace('\n', "\n           "), penalties.replace('\n', "\n        "));
        check(&format!(
            "         policy data 100 penalty 50:40 penalty 90:0 {policy}
         {world}
         {penalties}
         settle
            {lines}"
        ))
        .await;
    }
}

#[tokio::test]
async fn quarantine_holds_what_would_be_paid() {
    check(
        "policy data 100
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         quarantine wallet
         payout alice to wallet
         pay 100 by dave for bot
         settle
           suspense quarantined apples 100
           = suspense:quarantined 100
         release wallet
         batch b2
           bot: apples 1
         pay 50 by dave for bot
         settle
           wallet data apples 50",
    )
    .await;
}

#[tokio::test]
async fn owners_are_those_of_the_cut_and_may_split() {
    check(
        "policy model 60 agent 40
         model base by bob
         agent bot by carol uses base
         pay 100 by dave for bot
         transfer base to mia
         split bot alice 75 erin 25
         settle
           mia model base 60
           alice agent bot 30
           erin agent bot 10",
    )
    .await;
}

#[tokio::test]
async fn stake_earns_by_balance_and_blocks() {
    check(
        "policy stakers 100            # block 2
         model base by bob
         stake 10 by erin in base      # blocks 4 to 6: 30
         stake 10 by frank in base     # blocks 5 and 6: 20
         pay 500 by dave for base      # block 6
         settle
           erin staker 300
           frank staker 200
         slash 5 of erin in base       # block 8: 10 at block 7, 5 at 8 and 9, so 20; frank 30
         pay 100 by dave for base
         settle
           erin staker 40
           frank staker 60
         pay 100 by dave for base      # 5 to 10
         settle
           erin staker 33
           frank staker 67",
    )
    .await;
    check(
        "policy stakers 100
         model base by bob
         stake 10 by erin in all       # the pool of a model without stakers
         pay 100 by dave for base
         settle
           erin staker 100",
    )
    .await;
}

#[tokio::test]
async fn a_payment_to_oneself_is_found_whoever_is_paid() {
    let world = "data apples of fruit by alice
         data pears of fruit by bob
         model root by rita
         model base by mia on root
         agent bot by carol uses base
         stake 1 by erin in base
         split base mia 50 zoe 50
         payout alice to wallet
         batch b1
           bot id x: apples 1, pears -1";
    let policy = "policy platform 20 agent 20 model 20 data 20 stakers 20 pass 50 dealing suspense treasury tom";
    for payer in ["alice", "wallet", "carol", "mia", "zoe", "rita", "erin", "tom"] {
        check(&format!(
            "         {policy}
         {world}
         pay 100 by {payer} for bot about b1/x
         settle
           suspense self_dealing 100"
        ))
        .await;
    }
    // Pears did not help, so bob is a customer like any other.
    check(&format!(
        "         {policy}
         {world}
         pay 100 by bob for bot about b1/x
         settle
           tom platform 20
           carol agent bot 20
           mia model base 5
           zoe model base 5
           rita lineage root 10
           wallet data apples 20
           erin staker 20"
    ))
    .await;
}

#[tokio::test]
async fn what_one_pays_oneself_is_held_until_it_is_freed() {
    let world = "policy platform 20 data 80 dealing suspense
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot id x: apples 1
         pay 100 by alice for bot about b1/x
         settle
           suspense self_dealing 100
           = suspense:self_dealing 100";
    for (to, lines) in [
        ("payees", "treasury platform 20\n alice data apples 80"),
        ("payer", "alice released 100"),
        ("treasury", "treasury released 100"),
    ] {
        let lines = lines.replace('\n', "\n          ");
        check(&format!(
            "{world}
         free self_dealing to {to}
         settle
           {lines}
           = suspense:self_dealing 0
           = clearing 0"
        ))
        .await;
    }
}

#[tokio::test]
async fn a_blob_found_late_takes_nothing_from_others() {
    check(
        "policy data 100
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         missing b1
         batch b2
           bot id x: pears 1
         pay 8 by dave for bot about b1
         pay 1 by erin for bot about b1
         settle
           suspense blob_missing bot 8
           suspense blob_missing bot 1
           = suspense:blob_missing 9     # one account of the trial balance for all payments
         found b1
           bot id x: apples 1            # b2 has it
           bot: apples 1
         pay 100 by dave for bot about b1/x
         settle
           bob data pears 100
           alice data apples 9           # what was held
           = suspense:blob_missing 0
         challenge b2
         uphold b2
         pay 50 by dave for bot about b1/x
         settle
           alice data apples 50          # the next has it",
    )
    .await;
}

#[tokio::test]
async fn what_one_pays_oneself_for_has_no_part_in_pools() {
    let world = "policy data 100
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1
           bot id x: apples 1
           bot id y: pears 1
         fund 100 for all
         pay 10 by alice for bot about b1/x";
    check(&format!(
        "{world}
         settle
           alice data apples 10
           bob data pears 100"
    ))
    .await;
    check(&format!(
        "{world}
         pay 6 by dave for bot about b1/x
         settle                        # somebody else paid for it too
           alice data apples 66
           bob data pears 50"
    ))
    .await;
}

#[tokio::test]
async fn pools_are_shared_by_the_inferences_of_their_epoch() {
    check(
        "policy model 100              # a pool goes to data, whatever payments do
         data apples of fruit by alice
         data pears of fruit by bob
         model base by mia
         agent bot by carol uses base
         agent other by carol
         fund 100 for base epoch 2
         fund 9 for base
         settle
           suspense no_inferences 9
         batch b1
           bot fee 1: apples 1
           other fee 9: pears 1
         settle
           alice data apples 100
         batch b2
           bot fee 1: apples 1
           other fee 9: pears 1
         fund 50 for all epoch 1       # of a settled epoch: counts for this one
         settle
           alice data apples 5
           bob data pears 45",
    )
    .await;
}

#[tokio::test]
async fn a_refund_reduces_what_is_open_and_adjusts_what_is_settled() {
    check(
        "policy data 100
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot
         refund 30 of p1
         pay 50 by dave for bot
         refund 50 of p2
         settle
           alice data apples 70
           = escrow 0
         refund 20 of p1
         settle
           nothing
           = receivable:platform 20
           ~ alice 70",
    )
    .await;
    check(
        "policy data 100
         agent bot by carol
         pay 10 by dave for bot
         refund 6 of p1
         refund 6 of p1
         settle
           refused the tables contradict themselves",
    )
    .await;
}

#[tokio::test]
async fn what_nothing_stands_behind_is_held_or_never_settled() {
    check(
        "policy data 100
         agent bot by carol
         pay 10 by dave for bot unbacked
         policy data 100 unbacked reject
         pay 7 by dave for bot unbacked
         settle
           suspense unbacked 10
           = suspense:unbacked 10
           = escrow 10
         refund 7 of p2
         settle
           nothing                     # it was never settled, so nothing is adjusted
           = receivable:platform 0",
    )
    .await;
}

#[tokio::test]
async fn small_positions_stay_off_the_tree() {
    check(
        "policy data 100 min_payout 100
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 60 by dave for bot
         settle
           alice data apples 60
           ~ alice 60 nothing open
         batch b2
           bot: apples 1
         pay 50 by dave for bot
         settle
           alice data apples 50
           ~ alice 110",
    )
    .await;
}

#[tokio::test]
async fn claims_are_set_against_what_is_due() {
    check(
        "policy data 100
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 60 by dave for bot
         settle
           alice data apples 60
         claim 40 by alice
         settle
           nothing
           ~ alice 60 claimed 40
           = payable 20
           = claimed 40
         claim 30 by alice             # ten more than is due: an alarm, and she owes it
         settle
           nothing
           ~ alice 60 claimed 70 nothing open
           = payable 0
           = receivable:alice 10
         batch b2
           bot: apples 1
         pay 25 by dave for bot
         settle                        # ten of it are paid already
           alice data apples 25
           ~ alice 85 claimed 70
         claim 10^38-1 by alice        # no vault has that much
         settle
           nothing
           ~ alice 85 claimed 10^38-1 nothing open",
    )
    .await;
}

#[tokio::test]
async fn the_largest_amounts_are_exact() {
    check(
        "policy data 100
         data apples of fruit by alice
         data pears of fruit by bob
         agent bot by carol
         batch b1
           bot fee 9_223_372_036_854_775_807: apples 3_074_457_345_618_258_602, pears 6_148_914_691_236_517_204
         pay 10^38-1 by dave for bot
         settle
           alice data apples 33_333_333_333_333_333_333_333_333_333_333_333_333
           bob data pears 66_666_666_666_666_666_666_666_666_666_666_666_666",
    )
    .await;
}

#[tokio::test]
async fn a_token_that_would_overflow_is_suspended_and_the_others_settle() {
    check(
        "policy data 100
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 10^38-1 by dave for bot
         pay 1 by dave for bot
         pay 70 usd by dave for bot
         settle
           alice data apples 70 usd
           = suspense:overflow 10^38-1
         batch b2
           bot: apples 1
         pay 10^38-5 by dave for bot
         settle                        # what was suspended is no revenue
           alice data apples 10^38-5
         batch b3
           bot: apples 1
         pay 5 by dave for bot
         settle                        # since the beginning it would be 10^38
           nothing
         batch b4
           bot: apples 1
         pay 4 by dave for bot
         settle
           alice data apples 4
           ~ alice 70 usd, 10^38-1",
    )
    .await;
}
