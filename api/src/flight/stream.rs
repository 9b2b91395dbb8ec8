//! Rows as messages of Flight, and back.

use arrow::array::RecordBatch;
use arrow::datatypes::Schema;
use arrow::error::ArrowError;
use arrow::ipc::reader::StreamReader;
use arrow::ipc::writer::{
    DictionaryTracker, EncodedData, IpcDataGenerator, IpcWriteContext, IpcWriteOptions, write_message,
};
use futures::StreamExt as _;
use std::collections::VecDeque;
use std::io::Write as _;
use tokio::sync::OwnedSemaphorePermit;
use tokio::task::JoinSet;
use tonic::Status;

use super::message::FlightData;
use super::{Rows, malformed, status};
use crate::error::Refusal;
use crate::rows;
use crate::serve::sql_refusal;
use crate::sql_gate::Answer;

/// Bytes of rows in a message: clients take at least four MiB.
const BATCH_BYTES: usize = 1 << 20;

/// Makes messages of rows.
struct Encoder {
    generator: IpcDataGenerator,
    tracker: DictionaryTracker,
    options: IpcWriteOptions,
    context: IpcWriteContext,
}

impl Encoder {
    fn new() -> Self {
        Self {
            generator: IpcDataGenerator::default(),
            tracker: DictionaryTracker::new(false),
            options: IpcWriteOptions::default(),
            context: IpcWriteContext::default(),
        }
    }

    fn schema(&mut self, schema: &Schema) -> EncodedData {
        self.generator.schema_to_bytes_with_dictionary_tracker(schema, &mut self.tracker, &self.options)
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<Vec<FlightData>, ArrowError> {
        let mut out = Vec::new();
        let parts = std::cmp::max(batch.get_array_memory_size().div_ceil(BATCH_BYTES), 1);
        let rows = std::cmp::max(batch.num_rows().div_ceil(parts), 1);
        for first in (0..batch.num_rows()).step_by(rows) {
            let part = batch.slice(first, std::cmp::min(rows, batch.num_rows() - first));
            let (dictionaries, part) =
                self.generator.encode(&part, &mut self.tracker, &self.options, &mut self.context)?;
            out.extend(dictionaries.into_iter().chain([part]).map(data));
        }
        Ok(out)
    }
}

fn data(encoded: EncodedData) -> FlightData {
    FlightData { flight_descriptor: None, data_header: encoded.ipc_message, data_body: encoded.arrow_data }
}

fn unwritten(cause: ArrowError) -> Status {
    status(&Refusal::internal("writing rows", &cause))
}

/// A schema as `FlightInfo` has it: a whole IPC message.
pub(super) fn schema_message(schema: &Schema) -> Result<Vec<u8>, Status> {
    let mut encoder = Encoder::new();
    let encoded = encoder.schema(schema);
    let mut out = Vec::new();
    write_message(&mut out, encoded, &encoder.options).map_err(unwritten)?;
    Ok(out)
}

/// One batch.
pub(super) fn of_batch(batch: &RecordBatch) -> Result<Rows, Status> {
    let mut encoder = Encoder::new();
    let mut all = vec![data(encoder.schema(&batch.schema()))];
    all.extend(encoder.batch(batch).map_err(unwritten)?);
    Ok(super::listed(all))
}

/// Rows as they come, after their schema; the room is given back at the end.
pub(super) fn of_answer(answer: Answer, schema: &Schema, room: OwnedSemaphorePermit) -> Rows {
    struct Sending {
        answer: Answer,
        encoder: Encoder,
        ready: VecDeque<FlightData>,
        _room: OwnedSemaphorePermit,
    }
    let mut encoder = Encoder::new();
    let ready = VecDeque::from([data(encoder.schema(schema))]);
    let sending = Sending { answer, encoder, ready, _room: room };
    let next = |mut sending: Sending| async move {
        loop {
            if let Some(ready) = sending.ready.pop_front() {
                return Some((Ok(ready), sending));
            }
            let batch = match sending.answer.next().await? {
                Ok(batch) => batch,
                Err(cause) => return Some((Err(status(&sql_refusal(&cause))), sending)),
            };
            match sending.encoder.batch(&batch) {
                Ok(messages) => sending.ready.extend(messages),
                Err(cause) => return Some((Err(unwritten(cause)), sending)),
            }
        }
    };
    futures::stream::unfold(sending, next).boxed()
}

/// The one row that a client sent, as an Arrow IPC stream. It is read in a task of its own: what a stranger sends may
/// be anything, and only the task would end with it.
pub(super) async fn row(messages: &[FlightData]) -> Result<Vec<u8>, Status> {
    let mut sent = Vec::new();
    for message in messages.iter().filter(|message| !message.data_header.is_empty()) {
        framed(&mut sent, message).map_err(malformed)?;
    }
    let mut reading = JoinSet::new();
    reading.spawn_blocking(move || {
        let mut batches = StreamReader::try_new(sent.as_slice(), None)?.collect::<Result<Vec<_>, _>>()?;
        batches.retain(|batch| batch.num_rows() > 0);
        let count: usize = batches.iter().map(RecordBatch::num_rows).sum();
        if count != 1 {
            return Err(ArrowError::InvalidArgumentError(format!("{count} rows of values were sent: expected one")));
        }
        rows::arrow(&batches, &[])
    });
    match reading.join_next().await {
        Some(Ok(row)) => row.map_err(malformed),
        _ => Err(malformed("the values are no Arrow data")),
    }
}

/// A message of Flight as one of an IPC stream.
fn framed(out: &mut Vec<u8>, message: &FlightData) -> std::io::Result<()> {
    let padded = message.data_header.len().next_multiple_of(8);
    let length = u32::try_from(padded).map_err(std::io::Error::other)?;
    out.write_all(&[0xff; 4])?;
    out.write_all(&length.to_le_bytes())?;
    out.write_all(&message.data_header)?;
    out.resize(out.len() + padded - message.data_header.len(), 0);
    out.write_all(&message.data_body)
}

/// The row of a handle. A handle is what [`row`] made, but it comes from the client.
pub(super) fn read_row(bytes: &[u8]) -> Result<RecordBatch, Status> {
    let mut batches = StreamReader::try_new(bytes, None).map_err(malformed)?;
    let first = batches.next().ok_or_else(|| malformed("the handle has no row of values"))?.map_err(malformed)?;
    if first.num_rows() == 1 { Ok(first) } else { Err(malformed("the handle has no row of values")) }
}
