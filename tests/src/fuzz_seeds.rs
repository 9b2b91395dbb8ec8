//! The first inputs of the fuzz targets, made from code; and, where the folder of real data lies beside the project,
//! what is in it. Nothing of either is committed.

use alloy_primitives::{Address, B256, Bytes, U256};
use rand::{Rng as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};
use std::path::Path;
use tributary_devnet::inbox::{self, ChannelForm, sample_blocks};
use tributary_devnet::payload::{Inference, Record, root, write as parquet};
use tributary_devnet::{Devnet, DevnetConfig};
use tributary_indexer::mapping::BUILT_IN;
use tributary_schemas::batch::{BatchFooter, FORMAT};
use tributary_schemas::eigenda::{
    BatchHeader, BlobCertificate, BlobCommitment, BlobHeader, BlobInclusion, Certificate, G1, G2, Signatures, Version,
};
use tributary_schemas::id::BatchId;
use tributary_schemas::payload_codec;

const CHAIN: u64 = 1612;

/// Writes them into a folder for each target.
///
/// # Errors
/// When a file cannot be written, or a seed cannot be made.
pub async fn write(corpus: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let mut seeds = certificates();
    seeds.extend(real_commitments());
    seeds.extend(payloads()?);
    seeds.extend(postings()?);
    seeds.extend(attributions()?);
    seeds.extend(receipts().await?);
    seeds.extend(mappings());
    for (place, (target, bytes)) in seeds.into_iter().enumerate() {
        let folder = corpus.join(target);
        std::fs::create_dir_all(&folder)?;
        std::fs::write(folder.join(format!("seed-{place:03}")), bytes)?;
    }
    Ok(())
}

/// What no file that ships has.
const FACTORY: &str = r#"name = "x"
version = 1
[[rule]]
name = "r"
emitter = { factory = { factory = "escrow", event = ["Built(address at)"], child = "at" }, event = "Made(address indexed child)", child = "child", children_max = 9 }
event = ["Said(uint64[] n, bytes b)", "Said(uint64[] n)"]
each = ["n"]
emit = "AttestationRecorded"
[rule.fields]
attestation = { keccak = ["n", { first = ["b", { const = "0x00" }] }] }
schema = { external = { const = "s" } }
subject = { keccak = { from = "emitter" } }
attester = { state = "owner(int64 n) returns (address)", of = { from = "emitter" }, with = [{ cast = "int64", of = "n" }], on_revert = "nothing", or = { from = "emitter" } }
decimals = { const = 0 }
tag = { const = "" }
uri = { const = "" }
data_hash = { from = "tx.hash" }
value = { scale = 2, of = { cast = "int64", of = "n" } }
"#;

/// The mapping files that ship and one more, and a log of zeros for each of their events.
fn mappings() -> Vec<Seed> {
    let files = BUILT_IN.iter().map(|file| file.toml).chain([FACTORY]);
    let files = files.map(|toml| ("mapping", toml.as_bytes().to_vec()));
    let logs = (0..64_u8).flat_map(|topic| {
        (0..4_u8).map(move |count| ("rules", [&[topic, count, 0, 2, 0][..], &[0; 32 * 19 + 64]].concat()))
    });
    files.chain(logs).collect()
}

/// A target and an input.
type Seed = (&'static str, Vec<u8>);

fn commitment(standard: &[u8]) -> [Seed; 3] {
    let op = [&[1, 0], standard].concat();
    [("certificate", standard.to_vec()), ("commitment", [&[1], &op[..]].concat()), ("commitment", op)]
}

fn certificates() -> Vec<Seed> {
    let v4 = Version::V4 { offchain_derivation_version: 0 };
    let of_all = [Version::V2, Version::V3, v4].into_iter().flat_map(|version| {
        (0..2_u8).flat_map(move |more| {
            let certificate = certificate(version, usize::from(more));
            commitment(&[&[version.byte()], &certificate.encode()[..]].concat())
        })
    });
    let keccak = [&[0][..], &[7; 32]].concat();
    of_all.chain([("commitment", keccak), ("commitment", vec![1, 12, 5]), ("commitment", vec![0, 1, 2])]).collect()
}

fn certificate(version: Version, more: usize) -> Certificate {
    let g1 = G1 { x: U256::from(1), y: U256::from(2) };
    let g2 = G2::default();
    let index = u32::try_from(more).unwrap_or_default();
    let blob_header = BlobHeader {
        version: 0,
        quorum_numbers: Bytes::from_static(&[0, 1]),
        commitment: BlobCommitment { commitment: g1, length_commitment: g2, length_proof: g2, length: 4 },
        payment_header_hash: B256::repeat_byte(3),
    };
    Certificate {
        version,
        batch_header: BatchHeader { batch_root: B256::repeat_byte(4), reference_block_number: 8_000_000 },
        blob_inclusion: BlobInclusion {
            blob_certificate: BlobCertificate {
                blob_header,
                signature: vec![5; 65].into(),
                relay_keys: vec![index; more],
            },
            blob_index: index,
            inclusion_proof: vec![6; 32 * more].into(),
        },
        signatures: Signatures {
            non_signer_quorum_bitmap_indices: vec![index; more],
            non_signer_pubkeys: vec![g1; more],
            quorum_apks: vec![g1; 2],
            apk_g2: g2,
            sigma: g1,
            quorum_apk_indices: vec![300, 2],
            total_stake_indices: vec![70_000, 0],
            non_signer_stake_indices: vec![vec![index; more]; 2],
        },
        signed_quorum_numbers: Bytes::from_static(&[0, 1]),
    }
}

fn hex_file(name: &str) -> Option<Vec<u8>> {
    let text = String::from_utf8(crate::shared::shared(&format!("eigenda/{name}"))?).ok()?;
    let text = text.trim();
    alloy_primitives::hex::decode(text.strip_prefix("0x").unwrap_or(text)).ok()
}

fn real_commitments() -> Vec<Seed> {
    let mut seeds = Vec::new();
    let op = ["hokulea/sepolia_3.altda_commitment.hex", "eigenda-proxy/v1_altda_commitment_0.hex"];
    for bytes in op.into_iter().filter_map(hex_file) {
        seeds.extend(bytes.strip_prefix(&[1, 0]).map(commitment).into_iter().flatten());
    }
    for (byte, name) in [(1, "eigenda/cert_v2.sepolia.rlp.hex"), (2, "eigenda/cert_v3.sepolia.rlp.hex")] {
        seeds.extend(hex_file(name).iter().flat_map(|rlp| commitment(&[&[byte], &rlp[..]].concat())));
    }
    seeds.extend(hex_file("hokulea/sepolia_v2cert.calldata.hex").map(|bytes| ("commitment", bytes)));
    seeds.extend(hex_file("hokulea/sepolia_3.encoded_payload.hex").map(|bytes| ("payload", bytes)));
    if let Some(raw) = hex_file("kona/raw_batch.hex") {
        seeds.push(("batch", raw));
    }
    seeds
}

fn payloads() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let mut seeds = Vec::new();
    for length in [0, 1, 30, 31, 32, 62, 63, 500] {
        let payload: Vec<u8> = std::iter::repeat_n(0xa5, length).collect();
        let encoded = payload_codec::encode(&payload)?;
        let elements = encoded.len() / 32;
        seeds.push(("payload", payload_codec::encode_to(&payload, elements * 2)?));
        seeds.push(("payload", encoded));
    }
    Ok(seeds)
}

/// Batches, channels of them in every form, frames of these, and blobs.
fn postings() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let mut seeds = Vec::new();
    for seed in 0..6 {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let count = random.random_range(1..6);
        let blocks = sample_blocks(&mut random, CHAIN, count, 1_000 + 2 * seed, 2, 77);
        let span = inbox::span_batch((B256::repeat_byte(7), 77), 1_000, &blocks)?;
        let singular = inbox::singular_batch(B256::repeat_byte(8), &blocks[0]);
        let forms =
            [ChannelForm::Zlib(9), ChannelForm::ZlibUnfinished, ChannelForm::BrotliStored, ChannelForm::Zlib(0)];
        for (id, form) in (0_u8..).zip(forms) {
            let channel = inbox::channel(&[span.clone(), singular.clone()], form);
            for piece in [200, 100_000] {
                let frames = inbox::frames([id; 16], &channel, piece);
                let payload = inbox::payload(&frames);
                seeds.push(("channel", in_order(id, std::slice::from_ref(&payload))));
                let each: Vec<Vec<u8>> =
                    frames.iter().rev().map(|one| inbox::payload(std::slice::from_ref(one))).collect();
                seeds.push(("channel", in_order(id, &each)));
                seeds.push(("frame", payload));
            }
        }
        let carried: Vec<u8> = inbox::blob(&[1; 60]).map(|blob| [&[1], &blob[..200]].concat()).unwrap_or_default();
        seeds.extend([("batch", span), ("batch", singular), ("frame", carried)]);
    }
    Ok(seeds)
}

/// Payloads as the target `channel` takes them.
fn in_order(fork: u8, payloads: &[Vec<u8>]) -> Vec<u8> {
    let mut out = vec![fork];
    for payload in payloads {
        out.push(1);
        out.extend(u16::try_from(payload.len()).unwrap_or(u16::MAX).to_be_bytes());
        out.extend(payload);
    }
    out
}

/// The commitment's parts that the target `attribution` does not take from its input are constants there and here.
fn attributions() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let mut seeds = Vec::new();
    for seed in 0..6_u8 {
        let inferences: Vec<Inference> = (0..seed + 1)
            .map(|index| Inference {
                subject: B256::repeat_byte(index),
                fee_weight: (seed % 2 == 0).then_some(i64::from(index)),
                id: None,
                records: (0..index + 1)
                    .map(|at| Record {
                        target: B256::repeat_byte(at),
                        row: (at % 2 == 1).then_some(u32::from(at)),
                        score: i64::from(at) - 2,
                    })
                    .collect(),
            })
            .collect();
        let count = u32::try_from(inferences.len())?;
        let records = u32::try_from(inferences.iter().map(|inference| inference.records.len()).sum::<usize>())?;
        let footer = BatchFooter {
            format: FORMAT.to_owned(),
            chain_id: 1,
            hub: Address::repeat_byte(1),
            producer: Address::repeat_byte(2),
            seq: 3,
            method: B256::repeat_byte(4),
            params_hash: B256::repeat_byte(5),
            score_exp: -6,
            inferences: count,
            records,
        };
        let file = parquet(&footer, &inferences)?;
        let root = root(BatchId(B256::repeat_byte(7)), &inferences);
        seeds
            .push(("attribution", [&count.to_be_bytes()[..], &records.to_be_bytes(), root.as_slice(), &file].concat()));
    }
    Ok(seeds)
}

/// Blocks of the embedded chain as its node tells them.
async fn receipts() -> Result<Vec<Seed>, Box<dyn std::error::Error>> {
    let devnet = Devnet::start(DevnetConfig::default()).await?;
    devnet.mine_to(24);
    let client = reqwest::Client::new();
    let ask = async |method: &str, params: Value| -> Result<String, Box<dyn std::error::Error>> {
        let request = json!({"jsonrpc": "2.0", "id": 1, "method": method, "params": params}).to_string();
        let answer = client.post(devnet.l2_http()).body(request).send().await?.text().await?;
        let answer: Value = serde_json::from_str(&answer)?;
        Ok(answer["result"].to_string())
    };
    let mut seeds = Vec::new();
    for number in 0..24 {
        let number = json!(format!("{number:#x}"));
        let block = ask("eth_getBlockByNumber", json!([number, true])).await?;
        let receipts = ask("eth_getBlockReceipts", json!([number])).await?;
        if block.len() + receipts.len() < 65_000 {
            seeds.push(("receipts", format!("{block}\n{receipts}").into_bytes()));
        }
    }
    Ok(seeds)
}
