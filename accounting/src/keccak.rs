//! keccak256 of many messages of one length: eight at a time where the processor can.
//!
//! A close hashes several messages for every payee, all of them short and none of which waits for another. Eight states
//! lie side by side, so that one instruction does the same to all: with AVX-512 a hash takes a sixth of the time, with
//! AVX2 two thirds. Other processors hash one after the other. Either way the hashes are the same.

use alloy_primitives::{B256, Keccak256, keccak256};

/// Messages at a time.
pub(crate) const LANES: usize = 8;
/// Bytes of a block: 1600 bits less twice the 256 of the hash.
const RATE: usize = 136;
/// A word of eight states.
type Lanes = [u64; LANES];
/// Eight states, word by word.
type States = [Lanes; 25];

/// Hands over keccak256 of messages of one length, each made from its number, in their order.
pub(crate) fn each<const N: usize>(
    count: usize,
    message: impl Fn(usize) -> [u8; N],
    mut take: impl FnMut(usize, B256),
) {
    let mut next = 0;
    while is_wide() && next + LANES <= count {
        let messages = std::array::from_fn(|lane| message(next + lane));
        for (lane, hash) in eight(&messages).into_iter().enumerate() {
            take(next + lane, hash);
        }
        next += LANES;
    }
    for number in next..count {
        take(number, keccak256(message(number)));
    }
}

fn eight<const N: usize>(messages: &[[u8; N]; LANES]) -> [B256; LANES] {
    let mut states: States = [[0; LANES]; 25];
    for block in 0..=N / RATE {
        for (lane, message) in messages.iter().enumerate() {
            let bytes = &message[block * RATE..std::cmp::min((block + 1) * RATE, N)];
            let mut padded = [0; RATE];
            padded[..bytes.len()].copy_from_slice(bytes);
            if bytes.len() < RATE {
                pad(&mut padded, bytes.len());
            }
            absorb(&mut states, lane, &padded);
        }
        permute(&mut states);
    }
    std::array::from_fn(|lane| squeeze(&states, lane))
}

/// Keccak's padding of a last block, as Ethereum kept it: SHA-3 begins with 6.
fn pad(block: &mut [u8], length: usize) {
    block[length] = 1;
    block[RATE - 1] |= 0x80;
}

fn absorb(states: &mut States, lane: usize, block: &[u8]) {
    for (word, bytes) in states.iter_mut().zip(block.as_chunks::<8>().0) {
        word[lane] ^= u64::from_le_bytes(*bytes);
    }
}

fn squeeze(states: &States, lane: usize) -> B256 {
    let mut hash = B256::ZERO;
    for (bytes, word) in hash.0.as_chunks_mut::<8>().0.iter_mut().zip(states) {
        *bytes = word[lane].to_le_bytes();
    }
    hash
}

/// keccak256 of up to eight messages of any length, of which `more` appends some to that of a number and says whether it
/// was the last.
pub(crate) fn together(count: usize, more: impl FnMut(usize, &mut Vec<u8>) -> bool) -> Vec<B256> {
    if is_wide() && count > 1 { side_by_side(count, more) } else { apart(count, more) }
}

fn apart(count: usize, mut more: impl FnMut(usize, &mut Vec<u8>) -> bool) -> Vec<B256> {
    let mut one = |number: usize| {
        let (mut hash, mut bytes, mut last) = (Keccak256::new(), Vec::new(), false);
        while !last {
            last = more(number, &mut bytes);
            hash.update(&bytes);
            bytes.clear();
        }
        hash.finalize()
    };
    (0..count).map(&mut one).collect()
}

/// A message on its way into its lane.
#[derive(Debug, Default)]
struct Message {
    bytes: Vec<u8>,
    /// Whether everything is there, padded.
    whole: bool,
    hash: Option<B256>,
}

fn side_by_side(count: usize, mut more: impl FnMut(usize, &mut Vec<u8>) -> bool) -> Vec<B256> {
    let mut states: States = [[0; LANES]; 25];
    let mut messages: Vec<Message> = (0..count).map(|_| Message::default()).collect();
    loop {
        let waiting = |message: &&mut Message| message.hash.is_none();
        for (lane, message) in messages.iter_mut().enumerate() {
            while message.hash.is_none() && !message.whole && message.bytes.len() < RATE {
                message.whole = more(lane, &mut message.bytes);
                if message.whole {
                    let length = message.bytes.len();
                    message.bytes.resize((length / RATE + 1) * RATE, 0);
                    let last = length / RATE * RATE;
                    pad(&mut message.bytes[last..], length - last);
                }
            }
        }
        let blocks = messages.iter_mut().filter(waiting).map(|message| message.bytes.len() / RATE).min();
        let Some(blocks) = blocks else { break };
        for block in 0..blocks {
            for (lane, message) in messages.iter().enumerate().filter(|(_, message)| message.hash.is_none()) {
                absorb(&mut states, lane, &message.bytes[block * RATE..][..RATE]);
            }
            permute(&mut states);
        }
        for (lane, message) in messages.iter_mut().enumerate().filter(|(_, message)| message.hash.is_none()) {
            message.bytes.drain(..blocks * RATE);
            if message.whole && message.bytes.is_empty() {
                message.hash = Some(squeeze(&states, lane));
            }
        }
    }
    messages.into_iter().filter_map(|message| message.hash).collect()
}

/// Whether eight at a time are faster than one after the other.
fn is_wide() -> bool {
    #[cfg(target_arch = "x86_64")]
    return std::arch::is_x86_feature_detected!("avx2");
    #[cfg(not(target_arch = "x86_64"))]
    return false;
}

/// What ι adds in each round.
const ROUNDS: [u64; 24] = [
    0x0000_0000_0000_0001,
    0x0000_0000_0000_8082,
    0x8000_0000_0000_808a,
    0x8000_0000_8000_8000,
    0x0000_0000_0000_808b,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8009,
    0x0000_0000_0000_008a,
    0x0000_0000_0000_0088,
    0x0000_0000_8000_8009,
    0x0000_0000_8000_000a,
    0x0000_0000_8000_808b,
    0x8000_0000_0000_008b,
    0x8000_0000_0000_8089,
    0x8000_0000_0000_8003,
    0x8000_0000_0000_8002,
    0x8000_0000_0000_0080,
    0x0000_0000_0000_800a,
    0x8000_0000_8000_000a,
    0x8000_0000_8000_8081,
    0x8000_0000_0000_8080,
    0x0000_0000_8000_0001,
    0x8000_0000_8000_8008,
];

/// Keccak-f[1600] of eight states (FIPS 202, 3.2), compiled for each of these processors and for any other; which one
/// it is is asked when the program runs.
#[multiversion::multiversion(targets("x86_64+avx512f+avx512vl", "x86_64+avx2"))]
fn permute(a: &mut States) {
    for constant in ROUNDS {
        // θ
        let column = |x: usize| xor(xor(xor(a[x], a[x + 5]), xor(a[x + 10], a[x + 15])), a[x + 20]);
        let columns = [column(0), column(1), column(2), column(3), column(4)];
        for x in 0..5 {
            let both = xor(columns[(x + 4) % 5], turned::<1>(columns[(x + 1) % 5]));
            for y in 0..5 {
                a[5 * y + x] = xor(a[5 * y + x], both);
            }
        }
        // ρ and π: where a word goes, where it comes from, by how many bits it turns.
        let mut b = *a;
        macro_rules! turn {
            ($($to:literal $from:literal $bits:literal),*) => { $(b[$to] = turned::<$bits>(a[$from]);)* };
        }
        turn!(
            10 1 1, 7 10 3, 11 7 6, 17 11 10, 18 17 15, 3 18 21, 5 3 28, 16 5 36, 8 16 45, 21 8 55, 24 21 2, 4 24 14,
            15 4 27, 23 15 41, 19 23 56, 13 19 8, 12 13 25, 2 12 43, 20 2 62, 14 20 18, 22 14 39, 9 22 61, 6 9 20,
            1 6 44
        );
        // χ and ι
        for y in 0..5 {
            for x in 0..5 {
                a[5 * y + x] = chi(b[5 * y + x], b[5 * y + (x + 1) % 5], b[5 * y + (x + 2) % 5]);
            }
        }
        a[0] = xor(a[0], [constant; LANES]);
    }
}

#[inline(always)]
fn xor(a: Lanes, b: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane] ^ b[lane])
}

#[inline(always)]
fn turned<const BITS: u32>(a: Lanes) -> Lanes {
    a.map(|word| word.rotate_left(BITS))
}

#[inline(always)]
fn chi(a: Lanes, b: Lanes, c: Lanes) -> Lanes {
    std::array::from_fn(|lane| a[lane] ^ (!b[lane] & c[lane]))
}

#[cfg(test)]
mod tests {
    use super::{apart, each, eight, side_by_side};
    use alloy_primitives::{B256, keccak256};

    fn check<const N: usize>() {
        let message = |number: usize| -> [u8; N] {
            std::array::from_fn(|at| keccak256([number, at].map(|part| part.to_le_bytes()).concat())[0])
        };
        let some: [_; 8] = std::array::from_fn(message);
        assert_eq!(eight(&some), some.map(keccak256), "on this processor");
        for count in [0, 1, 7, 8, 9, 40] {
            let mut hashes: Vec<(usize, B256)> = Vec::new();
            each(count, message, |number, hash| hashes.push((number, hash)));
            let expected: Vec<_> = (0..count).map(|number| (number, keccak256(message(number)))).collect();
            assert_eq!(hashes, expected, "{count} messages of {N} bytes");
        }
    }

    #[test]
    fn hashes_are_those_of_messages_hashed_one_by_one() {
        check::<0>();
        check::<50>();
        check::<64>();
        check::<135>();
        check::<136>();
        check::<137>();
        check::<159>();
        check::<272>();
        check::<300>();
    }
    #[test]
    fn messages_of_any_length_are_hashed_as_they_come() {
        let byte = |number: usize, at: usize| u8::try_from((number * 31 + at * 7) % 251).unwrap();
        for lengths in [vec![0, 1, 135, 136, 137, 272, 5_000, 271], vec![10_000, 3], vec![408; 8], vec![1; 1], vec![]] {
            let expected: Vec<B256> = lengths
                .iter()
                .enumerate()
                .map(|(number, length)| keccak256((0..*length).map(|at| byte(number, at)).collect::<Vec<u8>>()))
                .collect();
            for step in [1, 100, 136, 1_000, 100_000] {
                let more = |done: &mut Vec<usize>, number: usize, bytes: &mut Vec<u8>| {
                    let until = std::cmp::min(done[number] + step, lengths[number]);
                    bytes.extend((done[number]..until).map(|at| byte(number, at)));
                    done[number] = until;
                    until == lengths[number]
                };
                let (mut one, mut other) = (vec![0; lengths.len()], vec![0; lengths.len()]);
                assert_eq!(apart(lengths.len(), |number, bytes| more(&mut one, number, bytes)), expected);
                let found = side_by_side(lengths.len(), |number, bytes| more(&mut other, number, bytes));
                assert_eq!(found, expected, "{lengths:?} by {step}");
            }
        }
    }
}
