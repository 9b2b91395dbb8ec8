//! Beacon nodes of the L1: a genesis that can be, slots that fit the L1's blocks, and blobs at all.

use futures::future::join_all;
use std::sync::Arc;
use tributary_schemas::BlockRef;
use url::Url;

use super::{Finding, Nodes};
use crate::{
    Clock,
    beacon::{BeaconNodes, Slots},
    endpoint::{EndpointOptions, names},
};

/// Looks at all beacon nodes side by side, with what was seen of the L1's nodes. `key` is where they stand in the
/// configuration.
pub async fn beacons(
    key: &str,
    urls: &[Url],
    l1: Option<&Nodes>,
    options: &EndpointOptions,
    clock: &Arc<dyn Clock>,
) -> Vec<Finding> {
    let beacon = match BeaconNodes::new(urls, clock) {
        Ok(beacon) => beacon,
        Err(error) => return vec![Finding::failed(key, error.to_string(), "an HTTP client", "see the reason")],
    };
    let (block, now) = (l1.and_then(|nodes| nodes.block), clock.now_ms() / 1_000);
    let looks = names(urls).into_iter().enumerate().map(|(place, name)| {
        let beacon = &beacon;
        async move {
            let check = format!("{name} genesis");
            let slots = match beacon.slots(place, options).await {
                Ok(slots) => slots,
                Err(reason) => {
                    let mend = format!("see that it is a beacon node and can be reached from here, or correct {key}");
                    let expected = "a genesis time and the length of slots";
                    let skipped = Finding::skipped(format!("{name} blobs"), "its slots are not known");
                    return vec![Finding::failed(check, reason, expected, mend), skipped];
                }
            };
            let genesis = judge(check, key, slots, block, now);
            vec![genesis, blobs(beacon, place, name, slots, block, options).await]
        }
    });
    join_all(looks).await.into_iter().flatten().collect()
}

/// Whether slots can be those of an L1 that has this block.
pub(super) fn judge(check: String, key: &str, slots: Slots, block: Option<BlockRef>, now: u64) -> Finding {
    let Slots { genesis_time, slot_ms } = slots;
    let seen = format!("genesis at {genesis_time}, slots of {slot_ms} ms");
    let expected = format!("genesis before {now}, now, and a slot that begins with each block of the L1");
    let mend = format!("name a beacon node of the L1's own network in {key}");
    if genesis_time == 0 || genesis_time > now {
        return Finding::failed(check, seen, expected, mend);
    }
    match block {
        Some(BlockRef { number, timestamp, .. }) if !slots.begins_at(timestamp) => {
            Finding::failed(check, format!("{seen}: none begins with L1 block {number} at {timestamp}"), expected, mend)
        }
        Some(BlockRef { number, timestamp, .. }) => {
            let slot = slots.at(timestamp).unwrap_or_default();
            Finding::ok(check, format!("{seen}: L1 block {number} is of slot {slot}"), expected)
        }
        None => Finding::ok(check, format!("{seen}; no L1 block is known to compare"), expected),
    }
}

/// Whether it gives the blobs of a slot, be it none.
async fn blobs(
    beacon: &BeaconNodes,
    place: usize,
    name: String,
    slots: Slots,
    block: Option<BlockRef>,
    options: &EndpointOptions,
) -> Finding {
    let check = format!("{name} blobs");
    let Some(slot) = block.and_then(|block| slots.at(block.timestamp)) else {
        return Finding::skipped(check, "no L1 block is known whose blobs could be asked for");
    };
    let expected = "an answer with the blobs of a slot, if only an empty one";
    match beacon.count(place, slot, options).await {
        Ok(count) => Finding::ok(check, format!("slot {slot} has {count}"), expected),
        Err(reason) => {
            let mend = "take a node that keeps all columns (a supernode), or an archive of blobs";
            Finding::failed(check, reason, expected, mend)
        }
    }
}
