//! `eth_call`, as far as it can be answered without executing anything: the certificate verifier on L1, and on L2 what
//! the vault holds ([`holdings`]).

use alloy_primitives::{Address, Bytes, U256, hex};
use alloy_sol_types::SolCall as _;
use serde_json::Value;

use crate::{
    fault::Fault,
    node::{Layer, Node},
    rpc::{RpcError, holdings, query},
    suite::CertVerifier::checkDACertCall,
};

/// The certificate holds.
const SUCCESS: u8 = 1;
/// It does not.
const INVALID: u8 = 6;
/// The verifier failed on its own account.
const INTERNAL: u8 = 7;
/// Of so many answers of a verifier that is down now and then, one says so.
const DOWN_EVERY: u32 = 3;

/// The answer to a call of the verifier. Any other contract is refused: there is no EVM here.
pub(crate) fn call(node: &mut Node, layer: Layer, params: &[Value]) -> Result<String, RpcError> {
    let (to, input) = asked(params)?;
    let which = if params.len() > 1 { query::block(params, 1)? } else { query::Which::Latest };
    if layer == Layer::L2
        && let Some(answer) = holdings::call(node, to, &input, &which)
    {
        return answer;
    }
    let disperser = &node.chain.world.disperser;
    if layer != Layer::L1 || to != Some(disperser.router) {
        let router = disperser.router;
        return Err(RpcError::server(format!(
            "this node executes no contracts: eth_call is answered for the certificate verifier {router} on L1, \
             and on L2 about what the reward vault holds"
        )));
    }
    let Ok(asked) = checkDACertCall::abi_decode_validate(&input) else {
        return Err(RpcError::reverted());
    };
    let status = if node.dice.strikes(Fault::VerifierDown, DOWN_EVERY) {
        INTERNAL
    } else if node.chain.world.disperser.vouches(&asked.abiEncodedCert) {
        SUCCESS
    } else {
        INVALID
    };
    Ok(format!("\"{}\"", hex::encode_prefixed(U256::from(status).to_be_bytes::<32>())))
}

/// Who is called with what: `input`, or `data` as it was named before.
fn asked(params: &[Value]) -> Result<(Option<Address>, Bytes), RpcError> {
    let Some(Value::Object(call)) = params.first() else {
        return Err(RpcError::params("missing value for required argument 0"));
    };
    let to = call.get("to").filter(|to| !to.is_null()).map(query::parsed).transpose()?;
    let input = call.get("input").or_else(|| call.get("data")).map(query::parsed).transpose()?;
    Ok((to, input.unwrap_or_default()))
}
