//! What EigenDA's verifier on L1 says of a certificate.

use alloy_primitives::{Address, Bytes, U64};
use serde_json::{Value, json};
use std::sync::Arc;
use tributary_schemas::eigenda::Certificate;
use tributary_schemas::eigenda::router::{CertStatus, check_da_cert};
use url::Url;

use crate::endpoint::{EndpointOptions, Pool, Preference};
use crate::{Clock, IndexerError};

/// The router of verifiers on L1, asked over that chain's endpoints.
#[derive(Debug)]
pub struct Verifier {
    pool: Pool,
    router: Address,
}

impl Verifier {
    /// A verifier behind these endpoints of the L1 with this chain id.
    pub fn new(
        urls: &[Url],
        chain_id: u64,
        router: Address,
        options: EndpointOptions,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, IndexerError> {
        Ok(Self { pool: Pool::new(urls, chain_id, options, clock)?, router })
    }

    /// Asks `checkDACert`, or says why no answer counts.
    ///
    /// The verifier looks at the stake at the certificate's reference block, so a node that is not past it says
    /// nothing. One endpoint's word is enough to go on with a blob, whose bytes are checked all the same. To call it
    /// void for ever the reference block must be final, and no endpoint that answers may say otherwise.
    pub async fn check(&self, certificate: &Certificate) -> Result<CertStatus, String> {
        let reference = u64::from(certificate.batch_header.reference_block_number);
        let call = json!([{ "to": self.router, "data": check_da_cert(certificate) }, "latest"]);
        self.past(Preference::First, "latest", reference).await?;
        let status = self.ask(Preference::First, &call).await?;
        if !status.is_void() {
            return Ok(status);
        }
        for endpoint in self.pool.usable() {
            let only = Preference::Only(endpoint);
            self.past(only, "finalized", reference).await?;
            let other = self.ask(only, &call).await?;
            if other != status {
                let name = self.pool.name(endpoint);
                return Err(format!(
                    "endpoints of L1 disagree about a certificate: {status:?}, and {other:?} by {name}"
                ));
            }
        }
        Ok(status)
    }

    async fn ask(&self, prefer: Preference, call: &Value) -> Result<CertStatus, String> {
        let answer = self.pool.call(prefer, "eth_call", call).await.map_err(|error| error.to_string())?;
        let data: Bytes = serde_json::from_str(answer.json.get())
            .map_err(|error| format!("eth_call of checkDACert answered no bytes: {error}"))?;
        CertStatus::of_return_data(&data).map_err(|error| error.to_string())
    }

    /// Fails unless the chain is past a block.
    async fn past(&self, prefer: Preference, tag: &str, block: u64) -> Result<(), String> {
        #[derive(serde::Deserialize)]
        struct Numbered {
            number: U64,
        }
        let answer = self.pool.call(prefer, "eth_getBlockByNumber", &json!([tag, false])).await;
        let answer = answer.map_err(|error| error.to_string())?;
        let numbered: Numbered = serde_json::from_str(answer.json.get())
            .map_err(|error| format!("the {tag} block of L1 has no number: {error}"))?;
        let number = numbered.number.to::<u64>();
        if number > block {
            return Ok(());
        }
        Err(format!("the {tag} block of L1 is {number}: a certificate refers to block {block}"))
    }
}
