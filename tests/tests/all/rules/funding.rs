//! What a vault holds against what it owes, as an accountant would check it.

use tributary_schemas::column::Decimal38;
use tributary_schemas::facts::VaultBalanceRow;
use tributary_tests::world::{token, vault};

use super::check;
use super::scene::{Scene, units};

impl Scene {
    /// `vault holds N [usd] [stake M]`.
    pub(super) fn hold(&mut self, words: &[&str]) {
        let stake = words.iter().position(|word| *word == "stake").map_or(0, |at| units(words[at + 1]));
        self.facts.vault_balances.push(VaultBalanceRow {
            epoch: self.epoch,
            block_number: 0,
            block_hash: String::new(),
            vault: vault(0),
            token: token(if words.contains(&"usd") { 1 } else { 2 }),
            balance: Decimal38(units(words[2])),
            stake: Decimal38(stake),
            known: "read".to_owned(),
            endpoints: 1,
        });
    }

    /// What was read at the close that comes now: its last block is known only here.
    pub(super) fn readings(&mut self) -> Vec<VaultBalanceRow> {
        let last = self.facts.blocks.iter().max_by_key(|block| block.number);
        let (number, hash) = last.map_or((0, String::new()), |block| (block.number, block.hash.clone()));
        let of_epoch = self.facts.vault_balances.iter_mut().filter(|row| row.epoch == self.epoch);
        let at_cut = of_epoch.map(|row| {
            (row.block_number, row.block_hash) = (number, hash.clone());
            row.clone()
        });
        at_cut.collect()
    }
}

/// What all of these begin with: alice has 60 of every 100 that are paid, and bob the other 40.
const TWO: &str = "policy data 60 model 40
         data apples of fruit by alice
         model base by bob
         agent bot by carol uses base
         batch b1
           bot: apples 1
         pay 100 by dave for bot\n";

async fn check_two(text: &str) {
    check(&format!("{TWO}{text}")).await;
}

#[tokio::test]
async fn a_shortfall_holds_back_increases_account_by_account_and_pro_rata() {
    check_two(
        "         vault holds 75
         settle
           alice data apples 60
           bob model base 40
           alice unfunded -15            # of 60 and 40 there is room for 75: three quarters of each
           bob unfunded -10
           = payable 75
           = unfunded 25
           = distributor 75
           ~ alice 45
           ~ bob 30
           ? alice waiting until the vault has the money
           | alice 1 to 1: 0, 1 credit 60, 1 hold -15, 45",
    )
    .await;
    check_two(
        "         vault holds 100 stake 30   # what is staked is not the vault's
         settle
           alice data apples 60
           bob model base 40
           alice unfunded -18
           bob unfunded -12
           ~ alice 42
           ~ bob 28",
    )
    .await;
}

#[tokio::test]
async fn a_vault_that_is_empty_has_everybody_wait_and_one_that_holds_enough_nobody() {
    check_two(
        "         vault holds 0
         settle
           alice data apples 60
           bob model base 40
           alice unfunded -60
           bob unfunded -40
           = payable 0
           = distributor 0
           ~ alice 0 nothing open",
    )
    .await;
    check_two(
        "         vault holds 100
         settle
           alice data apples 60
           bob model base 40
           = unfunded 0
           ~ alice 60",
    )
    .await;
}

#[tokio::test]
async fn what_waits_is_released_when_the_vault_has_the_money() {
    check_two(
        "         vault holds 75
         settle
           anything
         vault holds 100
         settle
           alice funded 15
           bob funded 10
           = unfunded 0
           = payable 100
           = distributor 100
           ~ alice 60
           ~ bob 40
           ? alice now that the vault has the money
           | alice 2 to 2: 45, 2 credit 15, 60
           | alice 1 to 2: 0, 1 credit 60, 1 hold -15, 2 credit 15, 60
         vault holds 100
         settle                        # once, and once only
           nothing
           ~ alice 60",
    )
    .await;
}

#[tokio::test]
async fn what_waits_from_the_oldest_epoch_comes_first() {
    check_two(
        "         vault holds 0
         settle
           anything
         batch b2
           bot: apples 1
         pay 10 by dave for bot
         vault holds 50
         settle                        # half of what waits, and nothing of what is new
           alice data apples 6
           bob model base 4
           alice funded 30
           bob funded 20
           alice unfunded -6
           bob unfunded -4
           = unfunded 60
           ~ alice 30
           ~ bob 20
         vault holds 105
         settle                        # the other half, then half of the ten
           alice funded 30
           bob funded 20
           alice funded 3
           bob funded 2
           = unfunded 5
           ~ alice 63
           ~ bob 42
         vault holds 110
         settle
           alice funded 3
           bob funded 2
           = unfunded 0
           ~ alice 66
           ~ bob 44",
    )
    .await;
}

#[tokio::test]
async fn what_was_claimed_left_the_vault_and_is_owed_no_more() {
    check_two(
        "         vault holds 75
         settle
           anything
         claim 45 by alice
         batch b2
           bot: apples 1
         pay 10 by dave for bot
         vault holds 30                # the rest of the 75: bob's
         settle
           alice data apples 6
           bob model base 4
           alice unfunded -6
           bob unfunded -4
           ~ alice 45 claimed 45 nothing open
           ~ bob 30
           = payable 30
         vault holds 65                # 35 came: 25 that wait longest, and ten
         settle
           alice funded 15
           bob funded 10
           alice funded 6
           bob funded 4
           ~ alice 66 claimed 45
           ~ bob 44
           = unfunded 0",
    )
    .await;
}

#[tokio::test]
async fn what_nobody_read_settles_as_before_and_passes_nobody_who_waits() {
    check_two(
        "         settle                        # nobody looked
           alice data apples 60
           bob model base 40
           ~ alice 60
           ~ bob 40
         batch b2
           bot: apples 1
         pay 10 by dave for bot
         vault holds 105
         settle
           alice data apples 6
           bob model base 4
           alice unfunded -3
           bob unfunded -2
         batch b3
           bot: apples 1
         pay 20 by dave for bot
         settle                        # nobody looked: five wait, so twenty more do
           alice data apples 12
           bob model base 8
           alice unfunded -12
           bob unfunded -8
           = unfunded 25
         vault holds 130
         settle
           alice funded 3
           bob funded 2
           alice funded 12
           bob funded 8
           ~ alice 78
           ~ bob 52",
    )
    .await;
}

#[tokio::test]
async fn a_token_that_is_short_holds_back_no_other_and_nothing_that_is_on_the_tree() {
    check_two(
        "         batch b2
           bot: apples 1
         pay 50 usd by dave for bot
         vault holds 100
         vault holds 25 usd
         settle
           alice data apples 60
           bob model base 40
           alice data apples 30 usd
           bob model base 20 usd
           alice unfunded -15 usd
           bob unfunded -10 usd
           ~ alice 60, 15 usd
           ~ bob 40, 10 usd
         vault holds 10                # it lost what was on the tree already: that stays
         vault holds 0 usd
         settle
           nothing
           ~ alice 60, 15 usd
           ~ bob 40, 10 usd
         batch b3
           bot: apples 1
         pay 10 by dave for bot
         vault holds 10
         vault holds 50 usd
         settle
           alice data apples 6
           bob model base 4
           alice unfunded -6
           bob unfunded -4
           alice funded 15 usd
           bob funded 10 usd
           ~ alice 60, 30 usd
           ~ bob 40, 20 usd",
    )
    .await;
}

#[tokio::test]
async fn what_is_posted_after_a_challenge_window_is_an_increase_of_that_epoch() {
    check(
        "policy data 100 challenge 3 resolve 4
         data apples of fruit by alice
         agent bot by carol
         batch b1
           bot: apples 1
         pay 100 by dave for bot about b1
         vault holds 0
         settle                        # nobody can claim what is pending: it is not owed yet
           alice pending:data apples 100
         wait 2
         vault holds 70
         settle
           alice posted 100
           alice unfunded -30
           ~ alice 70
         vault holds 100
         settle
           alice funded 30
           ~ alice 100",
    )
    .await;
}

#[tokio::test]
async fn a_reading_of_another_block_or_twice_is_refused() {
    check_two(
        "         vault holds 75
         vault holds 80
         settle
           refused there twice: expected one",
    )
    .await;
}
