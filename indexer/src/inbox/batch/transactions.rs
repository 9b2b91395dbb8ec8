//! The transactions of a span batch, field by field.
//!
//! ```text
//! bits    contract_creation_bits
//! bits    y_parity_bits
//! 64      signatures             r, s
//! 20      tos                    of those that create no contract
//! tx_datas                       legacy: rlp[value, gas price, data]
//!                                01: rlp[value, gas price, data, access list]
//!                                02: rlp[value, tip, fee cap, data, access list]
//!                                04: rlp[value, tip, fee cap, data, access list, authorizations]   (Isthmus)
//! uvarint nonces
//! uvarint gas limits
//! bits    protected_bits         of the legacy ones: whether the signature names the chain (EIP-155)
//! ```
//!
//! Each is rebuilt into the bytes that were signed, since its hash is all that the L2 block and the batch can be
//! compared by. Fields are read to see that they are what they should be, and then copied as they stand: RLP has one
//! form of each value.

use super::span::Bits;
use super::{InboxError, Reader};
use alloy::eips::eip2930::AccessList;
use alloy::eips::eip7702::SignedAuthorization;
use alloy_primitives::{B256, U256, keccak256};
use alloy_rlp::{Encodable as _, Header};

const SIGNATURE: usize = 64;
const ADDRESS: usize = 20;

/// The columns, borrowed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Columns<'a> {
    creations: Bits<'a>,
    parities: Bits<'a>,
    signatures: &'a [u8],
    tos: &'a [u8],
    datas: Vec<Data<'a>>,
    nonces: Vec<u64>,
    gas_limits: Vec<u64>,
    protected: Bits<'a>,
}

/// The part of a transaction that depends on its type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Data<'a> {
    kind: u8,
    /// Content of the list.
    fields: &'a [u8],
}

impl<'a> Columns<'a> {
    /// Reads the columns of so many transactions.
    pub(super) fn read(reader: &mut Reader<'a>, len: usize) -> Result<Self, InboxError> {
        let creations = Bits::read(reader, len, "the contract creation bits of a span batch")?;
        let parities = Bits::read(reader, len, "the parity bits of a span batch")?;
        // 64 bytes each: from here on the bytes hold what is allocated.
        let signatures = reader.take(len.saturating_mul(SIGNATURE), "the signatures of a span batch")?;
        let calls = (0..len).filter(|index| !creations.get(*index)).count();
        let tos = reader.take(calls * ADDRESS, "the recipients of a span batch")?;
        let datas = (0..len).map(|_| Data::read(reader)).collect::<Result<Vec<_>, _>>()?;
        let nonces = uvarints(reader, len, "a nonce of a span batch")?;
        let gas_limits = uvarints(reader, len, "a gas limit of a span batch")?;
        let legacy = datas.iter().filter(|data| data.kind == 0).count();
        let protected = Bits::read(reader, legacy, "the protected bits of a span batch")?;
        Ok(Self { creations, parities, signatures, tos, datas, nonces, gas_limits, protected })
    }

    /// How many.
    pub(super) const fn len(&self) -> usize {
        self.datas.len()
    }

    /// Hashes of all.
    pub(super) fn hashes(&self, chain_id: u64) -> Result<Vec<B256>, InboxError> {
        self.encoded(chain_id).map(|encoded| encoded.map(keccak256)).collect()
    }

    /// The signed bytes of each.
    pub(super) fn encoded(&self, chain_id: u64) -> impl Iterator<Item = Result<Vec<u8>, InboxError>> + '_ {
        let (mut calls, mut legacy) = (0, 0);
        self.datas.iter().enumerate().map(move |(index, data)| {
            let to: &[u8] = if self.creations.get(index) {
                &[]
            } else {
                calls += 1;
                &self.tos[(calls - 1) * ADDRESS..calls * ADDRESS]
            };
            let protected = data.kind == 0 && {
                legacy += 1;
                self.protected.get(legacy - 1)
            };
            let signature = &self.signatures[index * SIGNATURE..(index + 1) * SIGNATURE];
            let common = Common {
                nonce: self.nonces[index],
                gas_limit: self.gas_limits[index],
                to,
                parity: self.parities.get(index),
                r: U256::from_be_slice(&signature[..32]),
                s: U256::from_be_slice(&signature[32..]),
            };
            data.encode(&common, protected, chain_id)
        })
    }
}

fn uvarints(reader: &mut Reader<'_>, len: usize, what: &'static str) -> Result<Vec<u64>, InboxError> {
    (0..len).map(|_| reader.uvarint(what)).collect()
}

/// What all types have.
struct Common<'a> {
    nonce: u64,
    gas_limit: u64,
    /// 20 bytes, or none for a creation.
    to: &'a [u8],
    parity: bool,
    r: U256,
    s: U256,
}

impl<'a> Data<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, InboxError> {
        let kind = match reader.rest().first() {
            Some(kind @ (1 | 2 | 4)) => *kind,
            Some(0xc0..) => 0,
            Some(other) => {
                let got = format!("{other:#04x}");
                let what = "the type of a transaction in a span batch";
                return Err(InboxError::Unexpected { what, got, expected: "1, 2, 4 or a list (legacy)" });
            }
            None => return Err(InboxError::Truncated { what: "a transaction of a span batch", expected: 1, got: 0 }),
        };
        if kind != 0 {
            reader.take(1, "the type of a transaction in a span batch")?;
        }
        Ok(Self { kind, fields: reader.rlp(true, "a transaction of a span batch")?.content })
    }

    fn encode(&self, common: &Common<'_>, protected: bool, chain_id: u64) -> Result<Vec<u8>, InboxError> {
        let fields = Fields::read(self)?;
        if self.kind == 4 && common.to.is_empty() {
            let (what, got) = ("a set-code transaction of a span batch", "a contract creation".to_owned());
            return Err(InboxError::Unexpected { what, got, expected: "a recipient" });
        }
        let mut list = Vec::with_capacity(self.fields.len() + 160);
        if self.kind != 0 {
            chain_id.encode(&mut list);
        }
        common.nonce.encode(&mut list);
        list.extend_from_slice(fields.fees);
        common.gas_limit.encode(&mut list);
        common.to.encode(&mut list);
        list.extend_from_slice(fields.value);
        list.extend_from_slice(fields.data);
        list.extend_from_slice(fields.lists);
        let parity = u128::from(common.parity);
        match (self.kind, protected) {
            (0, true) => (u128::from(chain_id) * 2 + 35 + parity).encode(&mut list),
            (0, false) => (27 + parity).encode(&mut list),
            _ => parity.encode(&mut list),
        }
        common.r.encode(&mut list);
        common.s.encode(&mut list);
        let header = Header { list: true, payload_length: list.len() };
        let mut out = Vec::with_capacity(1 + header.length() + list.len());
        if self.kind != 0 {
            out.push(self.kind);
        }
        header.encode(&mut out);
        out.extend_from_slice(&list);
        Ok(out)
    }
}

/// Pieces of the list, each whole RLP items.
struct Fields<'a> {
    value: &'a [u8],
    /// Gas price; or tip and fee cap.
    fees: &'a [u8],
    data: &'a [u8],
    /// Access list; authorizations.
    lists: &'a [u8],
}

impl<'a> Fields<'a> {
    fn read(data: &Data<'a>) -> Result<Self, InboxError> {
        let mut rest = data.fields;
        let value = item::<U256>(&mut rest, "the value of a transaction")?;
        let before_fees = rest;
        item::<U256>(&mut rest, "the gas price of a transaction")?;
        if matches!(data.kind, 2 | 4) {
            item::<U256>(&mut rest, "the fee cap of a transaction")?;
        }
        let fees = &before_fees[..before_fees.len() - rest.len()];
        let mut reader = Reader::new(rest);
        let input = reader.rlp(false, "the data of a transaction")?.whole;
        let lists = reader.rest();
        let mut rest = lists;
        if data.kind != 0 {
            item::<AccessList>(&mut rest, "the access list of a transaction")?;
        }
        if data.kind == 4 {
            item::<Vec<SignedAuthorization>>(&mut rest, "the authorizations of a transaction")?;
        }
        if !rest.is_empty() {
            let source = alloy_rlp::Error::UnexpectedLength;
            return Err(InboxError::Rlp { what: "a transaction of a span batch", source });
        }
        Ok(Self { value, fees, data: input, lists })
    }
}

/// The bytes of an item that reads as a `T`.
fn item<'a, T: alloy_rlp::Decodable>(rest: &mut &'a [u8], what: &'static str) -> Result<&'a [u8], InboxError> {
    let before = *rest;
    T::decode(rest).map_err(InboxError::rlp(what))?;
    Ok(&before[..before.len() - rest.len()])
}
