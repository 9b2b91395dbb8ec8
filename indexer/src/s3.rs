//! Buckets of S3 and of what speaks like it: where they are, and whose requests they take.
//!
//! A bucket is named as `s3://bucket/prefix`. Requests are signed (AWS Signature Version 4) by the `object_store` crate;
//! bytes that come back are bounded and judged like those of any other source.

use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::signer::Signer as _;
use std::sync::Arc;
use std::time::Duration;
use url::Url;

use crate::IndexerError;
use crate::endpoint::{Failure, excerpt};

/// How long a signed URL is good for: S3 compares it with its own clock.
const SIGNED_FOR: Duration = Duration::from_secs(300);

/// The key that requests are signed with.
#[derive(Clone, PartialEq, Eq)]
pub struct S3Credentials {
    /// The access key's id.
    pub key_id: String,
    /// Its secret.
    pub secret: String,
    /// The session token that goes with a temporary key.
    pub session_token: Option<String>,
}

impl std::fmt::Debug for S3Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("S3Credentials").field("key_id", &self.key_id).finish_non_exhaustive()
    }
}

/// Where buckets are, and how they are asked.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct S3Options {
    /// The service, for those that are not Amazon's; buckets are then part of the path.
    pub endpoint: Option<Url>,
    /// The region, such as `us-east-1`: it is part of what is signed.
    pub region: String,
    /// The key.
    pub credentials: Option<S3Credentials>,
}

/// One bucket, and what the names of its objects begin with.
#[derive(Debug, Clone)]
pub struct Bucket {
    /// The client.
    pub store: Arc<AmazonS3>,
    /// The prefix.
    pub prefix: Path,
}

/// Whether a URL names a bucket of S3.
#[must_use]
pub fn is_s3(url: &Url) -> bool {
    url.scheme() == "s3"
}

impl S3Options {
    /// The bucket that a URL `s3://bucket/prefix` names. Nothing is asked yet.
    pub fn bucket(&self, url: &Url) -> Result<Bucket, IndexerError> {
        let wrong = |reason: String| IndexerError::Configuration { what: url.to_string(), reason };
        let name = url.host_str().filter(|_| is_s3(url)).unwrap_or_default();
        if name.is_empty() {
            return Err(wrong("expected s3://bucket/prefix".to_owned()));
        }
        let Some(credentials) = &self.credentials else {
            let reason = "requests to it are signed, and no key is set: expected AWS_ACCESS_KEY_ID and \
                          AWS_SECRET_ACCESS_KEY in the environment (a public bucket is named by its https URL instead)";
            return Err(wrong(reason.to_owned()));
        };
        let mut builder = AmazonS3Builder::new()
            .with_bucket_name(name)
            .with_region(&self.region)
            .with_access_key_id(&credentials.key_id)
            .with_secret_access_key(&credentials.secret);
        if let Some(token) = &credentials.session_token {
            builder = builder.with_token(token);
        }
        if let Some(endpoint) = &self.endpoint {
            let plain = endpoint.scheme() == "http";
            builder = builder.with_endpoint(endpoint.as_str().trim_end_matches('/')).with_allow_http(plain);
        }
        let store = builder.build().map(Arc::new).map_err(|error| wrong(error.to_string()))?;
        let prefix = Path::from_url_path(url.path()).map_err(|error| wrong(error.to_string()))?;
        Ok(Bucket { store, prefix })
    }
}

impl Bucket {
    /// The object's name in the bucket.
    #[must_use]
    pub fn path(&self, name: &str) -> Path {
        name.split('/').fold(self.prefix.clone(), |path, part| path.join(part))
    }

    /// A URL with which the object may be read for a few minutes.
    pub(crate) async fn signed(&self, name: &str) -> Result<String, Failure> {
        let signed = self.store.signed_url(reqwest::Method::GET, &self.path(name), SIGNED_FOR).await;
        signed.map(Into::into).map_err(|error| Failure::Refused(format!("the request cannot be signed: {error}")))
    }
}

/// What S3 says no with: by its code where there is one, as a status alone is a riddle.
pub(crate) fn refusal(status: u16, after: Option<Duration>, body: &[u8]) -> Failure {
    let text = String::from_utf8_lossy(body);
    let code = text.split_once("<Code>").and_then(|(_, rest)| rest.split_once("</Code>")).map_or("", |(code, _)| code);
    let reason = match code {
        "NoSuchKey" => return Failure::Refused(crate::blob::ABSENT.to_owned()),
        "SignatureDoesNotMatch" => {
            "the secret access key is not the one of the access key id: expected the pair that belongs together"
        }
        "InvalidAccessKeyId" | "NotSignedUp" => "nobody there knows the access key id",
        "AccessDenied" => "the key may not read it, or it is absent and the key may not list the bucket",
        "NoSuchBucket" => "there is no such bucket",
        "RequestTimeTooSkewed" => "the clock of this machine differs too much from the bucket's",
        "AuthorizationHeaderMalformed" | "AuthorizationQueryParametersError" => {
            "the signature is not of this region or service: expected the bucket's own region"
        }
        "PermanentRedirect" => "the bucket is in another region",
        _ => "",
    };
    match (status, reason) {
        (404, "") => Failure::Refused(crate::blob::ABSENT.to_owned()),
        (429, _) => Failure::Transient { reason: "status 429".to_owned(), after, limited: true },
        (500.., _) => Failure::Transient {
            reason: format!("status {status}: {}", excerpt(body)),
            after,
            limited: code == "SlowDown",
        },
        (_, "") => Failure::Refused(format!("status {status}: {}", excerpt(body))),
        (_, reason) => Failure::Refused(format!("status {status}, {code}: {reason}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(credentials: Option<S3Credentials>) -> S3Options {
        S3Options { endpoint: Some("http://127.0.0.1:9".parse().unwrap()), region: "eu-west-3".to_owned(), credentials }
    }

    fn key() -> S3Credentials {
        S3Credentials { key_id: "id".to_owned(), secret: "hidden".to_owned(), session_token: Some("t".to_owned()) }
    }

    #[tokio::test]
    async fn requests_carry_a_signature_and_never_the_secret() {
        let bucket = options(Some(key())).bucket(&"s3://blobs/a%20b/".parse().unwrap()).unwrap();
        let signed = bucket.signed("0011").await.unwrap();
        assert!(signed.starts_with("http://127.0.0.1:9/blobs/a%20b/0011?"), "{signed}");
        for part in
            ["X-Amz-Credential=id%2F", "%2Feu-west-3%2Fs3%2Faws4_request", "X-Amz-Signature=", "X-Amz-Expires=300"]
        {
            assert!(signed.contains(part), "{part} in {signed}");
        }
        assert!(!signed.contains("hidden") && !format!("{:?}", key()).contains("hidden"));
    }

    #[test]
    fn a_bucket_without_a_key_or_a_name_is_refused_with_what_is_missing() {
        let of = |options: &S3Options, url: &str| options.bucket(&url.parse().unwrap()).unwrap_err().to_string();
        assert!(of(&options(None), "s3://blobs/").contains("AWS_ACCESS_KEY_ID"));
        assert!(of(&options(Some(key())), "s3:///blobs").contains("s3://bucket/prefix"));
    }

    #[test]
    fn a_refusal_names_what_to_change() {
        let body = |code: &str| format!("<?xml?><Error><Code>{code}</Code><Message>No.</Message></Error>").into_bytes();
        let cases = [
            (403, "SignatureDoesNotMatch", "the secret access key"),
            (403, "InvalidAccessKeyId", "access key id"),
            (403, "AccessDenied", "may not read"),
            (404, "NoSuchBucket", "no such bucket"),
            (404, "NoSuchKey", crate::blob::ABSENT),
            (400, "AuthorizationQueryParametersError", "region"),
            (418, "Unheard", "status 418"),
        ];
        for (status, code, expected) in cases {
            let failure = refusal(status, None, &body(code));
            assert!(matches!(failure, Failure::Refused(_)) && failure.reason().contains(expected), "{failure:?}");
        }
        assert_eq!(refusal(404, None, b"").reason(), crate::blob::ABSENT);
        assert!(matches!(refusal(503, None, &body("SlowDown")), Failure::Transient { limited: true, .. }));
    }
}
