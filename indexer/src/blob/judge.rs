//! Whether bytes are what was committed to, whoever they came from.
//!
//! A hash is compared. A certificate is judged in two steps: by itself, before anything is fetched (its batch, its
//! signatures, and on L1 its signers' stake), and then together with the bytes. What fails by itself fails for
//! everybody and for ever, so its blob is void without being looked for. Bytes that are not what was committed to say
//! nothing of the blob, only of who gave them.
//!
//! A certificate of EigenDA's first network names no signers, so it never gets above L1: its blob is found, kept and
//! served, and pays nobody.
//!
//! Whatever waits when the threads are free is judged in one round, which is cheaper for each (see `docket`).
//!
//! Rewards rest on L3 and D2 where an L1 endpoint is configured, else on L2 and D2, and then the blob's row says
//! `unverified` (ruling 26).

use alloy_primitives::{B256, keccak256};
use std::sync::Arc;
use std::time::Duration;
use tributary_schemas::code::Reason;
use tributary_schemas::eigenda::router::CertStatus;
use tributary_schemas::eigenda::{Commitment, Form, G1};
use tributary_schemas::payload_codec;
use tributary_store::{BlobRecord, Content, Void};

use super::docket::{Docket, Entry};
use super::reference::{CertificateReference, Reference};
use super::verifier::Verifier;
use crate::Clock;
use crate::eigenda::{self, Case, EigenDaError, Evidence, Level, Outcome, Report, Setup, Srs, Witness};

/// What bytes and certificates are judged with. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Judge {
    means: Option<Arc<Means>>,
    verifier: Option<Arc<Verifier>>,
}

/// What commitments are checked with.
#[derive(Debug)]
struct Means {
    form: Form,
    setup: Setup,
    known_tau: Option<B256>,
    srs: Option<Srs>,
    pool: eigenda::Pool,
    docket: Docket,
    clock: Arc<dyn Clock>,
}

/// How long an entry waits for company: blobs come in bursts, and two judged together cost little more than one.
const GATHER: Duration = Duration::from_millis(3);

/// A blob with an outcome that will not change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Bytes to keep; none for a certificate that is void by itself.
    pub bytes: Option<Vec<u8>>,
    /// What is known of it; none for a blob referred to by its hash.
    pub record: Option<BlobRecord>,
}

/// What was found about bytes.
#[derive(Debug)]
pub enum Judgement {
    /// They are it.
    Found(Box<Found>),
    /// They are not what was committed to.
    Different(String),
    /// It could not be found out here, and what is missing.
    Undecided(String),
}

/// A certificate that is worth looking for its bytes.
#[derive(Debug, Clone)]
pub struct Assessed {
    /// What L1 said, when it was asked.
    pub answer: Option<CertStatus>,
    /// Its checks.
    report: Arc<Report>,
}

/// What a certificate is worth by itself.
#[derive(Debug)]
pub enum Standing {
    /// Worth looking for its bytes.
    Good(Assessed),
    /// Void for ever.
    Void(Box<BlobRecord>),
    /// It could not be found out now.
    Undecided(String),
}

impl Judge {
    /// A judge of certificates under a setup. Without points a commitment cannot be made again, so no bytes are ever
    /// found to match one; without a verifier nobody is asked about stake.
    #[must_use]
    pub fn new(
        form: Form,
        setup: Setup,
        known_tau: Option<B256>,
        srs: Option<Srs>,
        pool: eigenda::Pool,
        verifier: Option<Verifier>,
        clock: Arc<dyn Clock>,
    ) -> Self {
        let means = Means { form, setup, known_tau, srs, pool, docket: Docket::default(), clock };
        Self { means: Some(Arc::new(means)), verifier: verifier.map(Arc::new) }
    }

    /// Points that commitments can be made with: the field elements of the longest blob that can be checked.
    #[must_use]
    pub fn points(&self) -> usize {
        self.means.as_ref().and_then(|means| means.srs.as_ref()).map_or(0, Srs::points)
    }

    /// Whether what was found before counts here: it was judged under this setup, and L1 was asked where it can be.
    #[must_use]
    pub fn stands(&self, record: &BlobRecord) -> bool {
        let means = self.means.as_ref();
        let same_setup = means.is_some_and(|means| means.known_tau == record.known_tau);
        // Nobody on L1 answers for the first network's.
        let needs_no_answer = record.void.is_some() || record.cert_version == 1 || self.verifier.is_none();
        same_setup && (needs_no_answer || record.answer == Some(CertStatus::Success))
    }

    /// Judges a certificate by itself.
    pub async fn certificate(&self, reference: &Arc<CertificateReference>) -> Standing {
        let entry = Entry { reference: Arc::clone(reference), before: None, answer: None, bytes: None };
        let report = match self.judged(entry).await {
            Ok(Judged { report, .. }) => report,
            Err(why) => return Standing::Undecided(why),
        };
        if let Some(void) = void_by_itself(&report) {
            return Standing::Void(Box::new(self.record(reference, &report, None, None, Some(void))));
        }
        let report = Arc::new(report);
        let (Some(verifier), Commitment::EigenDa(certificate)) = (&self.verifier, &reference.commitment) else {
            return Standing::Good(Assessed { answer: None, report });
        };
        match verifier.check(certificate).await {
            Ok(status) if status.is_void() => {
                let detail = format!("check_da_cert: checkDACert answered {status:?}");
                let void = Void { code: Reason::CertificateInvalid, detail };
                Standing::Void(Box::new(self.record(reference, &report, Some(status), None, Some(void))))
            }
            Ok(CertStatus::Success) => Standing::Good(Assessed { answer: Some(CertStatus::Success), report }),
            Ok(status) => Standing::Undecided(format!("checkDACert failed on its own account: {status:?}")),
            Err(why) => Standing::Undecided(why),
        }
    }

    /// Judges bytes that somebody gave for a reference: a payload, or an encoded payload. `assessed` is what was found
    /// of its certificate; without, the certificate is judged first.
    pub async fn bytes(&self, reference: &Reference, assessed: Option<&Assessed>, bytes: Vec<u8>) -> Judgement {
        let reference = match reference {
            Reference::Content(hash) => return by_hash(*hash, bytes),
            Reference::Certificate(reference) => reference,
        };
        let answer = assessed.and_then(|assessed| assessed.answer);
        let before = assessed.map(|assessed| Arc::clone(&assessed.report));
        let entry = Entry { reference: Arc::clone(reference), before, answer, bytes: Some(bytes) };
        match self.judged(entry).await {
            Err(why) | Ok(Judged { matched: Err(Unmatched::Undecided(why)), .. }) => Judgement::Undecided(why),
            Ok(Judged { matched: Err(Unmatched::Different(why)), .. }) => Judgement::Different(why),
            Ok(Judged { report, matched: Ok(Matched { kept, content, void }) }) => {
                let record = self.record(reference, &report, answer, Some(content), void);
                Judgement::Found(Box::new(Found { bytes: Some(kept), record: Some(record) }))
            }
        }
    }

    /// Has an entry judged, together with whatever waits for that when its turn comes.
    async fn judged(&self, entry: Entry) -> Result<Judged, String> {
        let Some(means) = self.means.clone() else {
            return Err("nothing is configured to check certificates with".to_owned());
        };
        let mut outcome = means.docket.enter(entry);
        loop {
            // The outcome of somebody else's round, or after a pause one's own turn; more than one where rounds are
            // full of what has waited longer.
            tokio::select! {
                biased;
                judged = &mut outcome => return judged.map_err(|_gone| EigenDaError::Lost.to_string()),
                () = means.clock.deadline(GATHER) => {}
            }
            let of = Arc::clone(&means);
            means.pool.run(move || of.hold_round()).await.map_err(|error: EigenDaError| error.to_string())?;
        }
    }

    fn record(
        &self,
        reference: &CertificateReference,
        report: &Report,
        answer: Option<CertStatus>,
        content: Option<Content>,
        void: Option<Void>,
    ) -> BlobRecord {
        BlobRecord {
            commitment: reference.bytes.clone(),
            mode: reference.mode,
            cert_version: report.cert_version.unwrap_or_default(),
            blob_key: report.blob_key,
            dispersed_by: report.dispersing_account,
            length: report.length.unwrap_or_default(),
            level: report.level.map_or_else(String::new, |level| level.as_str().to_owned()),
            data_level: report.data_level.map(|level| level.as_str().to_owned()),
            answer,
            content,
            void,
            known_tau: self.means.as_ref().and_then(|means| means.known_tau),
        }
    }
}

impl Means {
    fn case<'a>(&'a self, entry: &'a Entry) -> Case<'a> {
        let Entry { reference, before, answer, bytes } = entry;
        // An encoded payload has at least one element, and so has the payload of a blob worth asking for.
        let bytes = bytes.as_deref().filter(|bytes| !bytes.is_empty());
        let witness = self.srs.as_ref().map_or(Witness::None, Witness::Srs);
        Case {
            mode: reference.mode,
            commitment: &reference.commitment,
            before: before.as_deref().cloned(),
            answer: *answer,
            evidence: bytes.map(|bytes| Evidence { bytes, form: self.form, witness }),
        }
    }

    /// Judges what waits.
    fn hold_round(&self) {
        let round = self.docket.round();
        let cases = round.iter().map(|(entry, _)| self.case(entry)).collect();
        let reports = eigenda::judge_all(cases, &self.setup);
        for (report, (entry, done)) in reports.into_iter().zip(round) {
            let matched = matched(&report, entry.bytes.unwrap_or_default());
            if done.send(Judged { report, matched }).is_err() {
                tracing::debug!("nobody waits for this commitment any more");
            }
        }
    }
}

/// What became of an entry.
#[derive(Debug)]
pub(super) struct Judged {
    report: Report,
    matched: Result<Matched, Unmatched>,
}

/// Bytes that are what was committed to.
#[derive(Debug)]
struct Matched {
    /// The payload; the bytes themselves where they are none.
    kept: Vec<u8>,
    /// What is known of it.
    content: Content,
    /// Why the blob is void.
    void: Option<Void>,
}

/// Why bytes are not, or are not known to be, what was committed to.
#[derive(Debug)]
enum Unmatched {
    Different(String),
    Undecided(String),
}

/// What the checks of bytes come to.
fn matched(report: &Report, bytes: Vec<u8>) -> Result<Matched, Unmatched> {
    let of = |level: Level| report.checks.iter().filter(move |check| check.level == level);
    let failed = |level| {
        of(level).find_map(|check| match &check.outcome {
            Outcome::Failed(why) => Some(format!("{}: {why}", check.name)),
            _ => None,
        })
    };
    if let Some(why) = failed(Level::D2) {
        return Err(Unmatched::Different(why));
    }
    let not_run = of(Level::D2).find_map(|check| match &check.outcome {
        Outcome::NotRun(why) => Some(why.clone()),
        _ => None,
    });
    let undecodable = failed(Level::D1);
    match (&undecodable, not_run) {
        // Bytes that are no payload of that blob at all: too long, or of another size.
        (Some(why), Some(_)) => return Err(Unmatched::Different(why.clone())),
        (None, Some(why)) => return Err(Unmatched::Undecided(why)),
        _ => {}
    }
    let given = report.payload.as_ref();
    let proved = given.and_then(|given| given.form.zip(given.opening));
    let Some((form, opening)) = proved else {
        return Err(Unmatched::Undecided("the form of the bytes was not found out".to_owned()));
    };
    let is_encoded = given.is_some_and(|given| given.given_as == "encoded_payload");
    let kept = match is_encoded.then(|| payload_codec::decode(&bytes)) {
        Some(Ok(payload)) => payload,
        _ => bytes,
    };
    let hash = given.and_then(|given| given.payload_hash).unwrap_or_else(|| keccak256(&kept));
    let content = Content { hash, is_encoded: undecodable.is_some(), form, opening: opening.0.into() };
    let void = undecodable.map(|detail| Void { code: Reason::BlobMalformed, detail });
    Ok(Matched { kept, content, void })
}

/// Bytes that have a hash, as they are or decoded.
fn by_hash(hash: B256, bytes: Vec<u8>) -> Judgement {
    let found = |payload| Judgement::Found(Box::new(Found { bytes: Some(payload), record: None }));
    if keccak256(&bytes) == hash {
        return found(bytes);
    }
    match payload_codec::decode(&bytes) {
        Ok(payload) => match keccak256(&payload) {
            real if real == hash => found(payload),
            real => Judgement::Different(format!("a payload of another hash, {real}")),
        },
        Err(error) => Judgement::Different(error.to_string()),
    }
}

/// Why a certificate is void whatever L1 would say.
fn void_by_itself(report: &Report) -> Option<Void> {
    let detail = report.checks.iter().find_map(|check| match (&check.outcome, check.level) {
        (Outcome::Failed(why), Level::L0 | Level::L1 | Level::L2) => Some(format!("{}: {why}", check.name)),
        _ => None,
    })?;
    Some(Void { code: Reason::CertificateInvalid, detail })
}

/// The commitment of a certificate, and the elements it is for.
pub(super) fn committed(commitment: &Commitment) -> Option<(G1, usize)> {
    let (point, elements) = match commitment {
        Commitment::EigenDa(certificate) => (certificate.commitment().commitment, certificate.commitment().length),
        // The first network counted the elements in use, and committed to the next power of two.
        Commitment::EigenDaV1(certificate) => {
            let header = &certificate.blob_header;
            (header.commitment.point()?, header.data_length.checked_next_power_of_two()?)
        }
        Commitment::Keccak(_) | Commitment::OtherLayer { .. } => return None,
    };
    Some((point, usize::try_from(elements).ok()?))
}
