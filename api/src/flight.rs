//! Arrow Flight SQL: rows as columns, for ADBC, JDBC and ODBC.
//!
//! gRPC over an HTTP/2 server like the other one, through the same gate, quota and room. Nothing is kept between calls:
//! a ticket or the handle of a prepared statement names its snapshot, its query and the values for it, so any of our
//! servers over the same data folder answers it, and a call that never comes costs nothing. The snapshot is chosen when
//! a query is planned, and its rows are of that snapshot however late they are fetched (INV-10); their schema says which.
//! So it is with blocks that are not sealed: the ticket names the newest one, and is refused once they are sealed or gone.
//!
//! The messages are declared here (`message`) and served by the HTTP stack that serves everything else. `arrow-flight`,
//! which the program has from Ballista, would bring tonic's client and server into this room.

mod message;
mod metadata;
mod stream;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use alloy_primitives::B256;
use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, Field, Schema};
use axum::Router;
use axum::extract::{ConnectInfo, Path, Request, State};
use axum::response::Response;
use axum::routing::post;
use datafusion::scalar::ScalarValue;
use futures::StreamExt as _;
use futures::stream::BoxStream;
use prost::Message;
use tokio::sync::OwnedSemaphorePermit;
use tonic::server::Grpc;
use tonic::{Code, Status, Streaming};
use tonic_prost::ProstCodec;

use self::message::{
    Action, ActionType, Any, CloseStatement, Command, CreateStatement, CreatedStatement, Empty, FlightData,
    FlightDescriptor, FlightEndpoint, FlightInfo, Handle, PutResult, PutStatement, SchemaResult, Ticket,
};
use crate::error::{ErrorCode, Refusal};
use crate::limits::client;
use crate::pinned::Pinned;
use crate::serve::{App, SQL_UNITS, Way, as_of, sql_refusal};
use crate::sql_gate::{self, Hot, Prepared};

/// Most bytes of a message from a client.
const MESSAGE_BYTES_MAX: usize = 1 << 20;

type Rows = BoxStream<'static, Result<FlightData, Status>>;

/// The service, on the paths that gRPC gives it.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new().route("/arrow.flight.protocol.FlightService/{method}", post(call)).with_state(app)
}

async fn call(
    State(app): State<Arc<App>>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    Path(method): Path<String>,
    request: Request,
) -> Response {
    let asking = match app.keys.client(request.headers()) {
        Ok(key) => key.unwrap_or_else(|| client(peer.ip(), request.headers(), &app.config.trusted_proxies)),
        Err(refusal) => return status(&refusal).into_http(),
    };
    let flight = Flight { app, asking };
    match method.as_str() {
        "GetFlightInfo" => unary(request, move |asked| flight.clone().info(asked)).await,
        "GetSchema" => unary(request, move |asked| flight.clone().schema(asked)).await,
        "DoGet" => streamed(request, move |asked| flight.clone().get(asked)).await,
        "DoAction" => streamed(request, move |asked| flight.clone().act(asked)).await,
        "ListActions" => streamed(request, |_: Empty| async { Ok(listed(actions())) }).await,
        "DoPut" => {
            let service = tower::service_fn(move |asked: tonic::Request<Streaming<FlightData>>| {
                let flight = flight.clone();
                async move { flight.put(asked.into_inner()).await.map(tonic::Response::new) }
            });
            let mut grpc = Grpc::new(ProstCodec::<PutResult, FlightData>::default());
            grpc = grpc.max_decoding_message_size(MESSAGE_BYTES_MAX);
            grpc.streaming(service, request).await.map(axum::body::Body::new)
        }
        other => Status::unimplemented(format!("{other} is not offered")).into_http(),
    }
}

async fn unary<M, R, F>(request: Request, answer: impl Fn(M) -> F + Send) -> Response
where
    M: Message + Default + 'static,
    R: Message + 'static,
    F: Future<Output = Result<R, Status>> + Send,
{
    let service = tower::service_fn(move |asked: tonic::Request<M>| {
        let answer = answer(asked.into_inner());
        async move { answer.await.map(tonic::Response::new) }
    });
    let mut grpc = Grpc::new(ProstCodec::<R, M>::default()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.unary(service, request).await.map(axum::body::Body::new)
}

async fn streamed<M, R, F>(request: Request, answer: impl Fn(M) -> F + Send) -> Response
where
    M: Message + Default + 'static,
    R: Message + 'static,
    F: Future<Output = Result<BoxStream<'static, Result<R, Status>>, Status>> + Send,
{
    let service = tower::service_fn(move |asked: tonic::Request<M>| {
        let answer = answer(asked.into_inner());
        async move { answer.await.map(tonic::Response::new) }
    });
    let mut grpc = Grpc::new(ProstCodec::<R, M>::default()).max_decoding_message_size(MESSAGE_BYTES_MAX);
    grpc.server_streaming(service, request).await.map(axum::body::Body::new)
}

fn listed<R: Send + 'static>(all: Vec<R>) -> BoxStream<'static, Result<R, Status>> {
    futures::stream::iter(all.into_iter().map(Ok)).boxed()
}

fn actions() -> Vec<ActionType> {
    let one = |kind: &str, description: &str| ActionType { kind: kind.to_owned(), description: description.to_owned() };
    vec![
        one("CreatePreparedStatement", "plans a query; $1, $2, … stand for values"),
        one("ClosePreparedStatement", "does nothing: the server keeps no statement"),
    ]
}

/// One call.
#[derive(Clone)]
struct Flight {
    app: Arc<App>,
    asking: IpAddr,
}

impl Flight {
    /// Charges the client and waits for room, which is kept as long as the permit is.
    async fn admit(&self, units: u32) -> Result<OwnedSemaphorePermit, Status> {
        if self.app.limiter.charge(self.asking, units).is_err() {
            return Err(status(&Refusal::new(ErrorCode::RateLimited, "too many requests: try again later")));
        }
        self.app.sql_room.enter(Way::Flight).await.map_err(|refusal| status(&refusal))
    }

    async fn newest(&self) -> Result<Arc<Pinned>, Status> {
        self.app.shelf.newest().await.map_err(|refusal| status(&refusal))
    }

    /// A handle of a query over the newest snapshot.
    async fn handle(&self, query: String) -> Result<Handle, Status> {
        let snapshot = Arc::clone(&self.newest().await?.snapshot);
        let generation = snapshot.heads.mapping_set_hash.to_vec();
        Ok(Handle { snapshot: snapshot.version, query, generation, ..Handle::default() })
    }

    /// The handle of a query that is planned now: it names the blocks that it reads, if any are not sealed.
    async fn planned(&self, query: String) -> Result<(Handle, Prepared, Schema), Status> {
        let mut handle = self.handle(query).await?;
        let (prepared, schema) = self.prepare(&handle).await?;
        if let Some(tail) = prepared.tail() {
            (handle.tail_block, handle.tail_hash) = (tail.number, tail.hash.to_vec());
        }
        Ok((handle, prepared, schema))
    }

    /// Plans the query of a handle over the snapshot that it names. The columns are of the plan, and say the snapshot: a
    /// client compares what it was promised with what it gets.
    async fn prepare(&self, handle: &Handle) -> Result<(Prepared, Schema), Status> {
        let generation = B256::try_from(handle.generation.as_slice()).map_err(malformed)?;
        let found = self.app.shelf.snapshot(generation, handle.snapshot).await;
        let (lake, snapshot) = found.map_err(|refusal| status(&refusal))?;
        let hot = Hot::above(&self.app.config.hot, &snapshot).upto(handle.tail().map_err(malformed)?);
        let prepared = sql_gate::prepare(&lake, &snapshot, hot, &handle.query, &self.app.config.streamed_sql).await;
        let prepared = prepared.map_err(|cause| status(&sql_refusal(&cause)))?;
        let metadata = as_of(&snapshot, prepared.tail()).into_iter().map(|(name, value)| (name.to_owned(), value));
        let schema = prepared.schema().as_ref().clone().with_metadata(metadata.collect());
        Ok((prepared, schema))
    }

    /// What a query or a request for metadata will give, and the ticket to fetch it with.
    async fn info(self, descriptor: FlightDescriptor) -> Result<FlightInfo, Status> {
        let _room = self.admit(1).await?;
        let (schema, ticket) = match command(&descriptor.cmd)? {
            Command::Query(query) => {
                let (handle, _, schema) = self.planned(query).await?;
                (schema, Any::statement(&handle))
            }
            Command::Prepared(handle) => (self.prepare(&handle).await?.1, Any::prepared(&handle)),
            Command::Update => return Err(read_only()),
            Command::Metadata(asked) => {
                let batch = metadata::batch(&asked, self.newest().await?.as_ref()).await?;
                (batch.schema().as_ref().clone(), Any::decode(descriptor.cmd.as_slice()).map_err(malformed)?)
            }
        };
        let ticket = Some(Ticket { ticket: ticket.encode_to_vec() });
        Ok(FlightInfo {
            schema: stream::schema_message(&schema)?,
            flight_descriptor: Some(descriptor),
            endpoint: vec![FlightEndpoint { ticket }],
            total_records: -1,
            total_bytes: -1,
        })
    }

    async fn schema(self, descriptor: FlightDescriptor) -> Result<SchemaResult, Status> {
        let info = self.info(descriptor).await?;
        Ok(SchemaResult { schema: info.schema })
    }

    /// The rows of a ticket.
    async fn get(self, ticket: Ticket) -> Result<Rows, Status> {
        let room = self.admit(SQL_UNITS).await?;
        let handle = match command(&ticket.ticket)? {
            Command::Query(_) | Command::Update => return Err(malformed("a ticket of this server was expected")),
            Command::Prepared(handle) => handle,
            Command::Metadata(asked) => {
                let batch = metadata::batch(&asked, self.newest().await?.as_ref()).await?;
                return stream::of_batch(&batch);
            }
        };
        let values = values(&handle.values)?;
        let (prepared, schema) = self.prepare(&handle).await?;
        Ok(stream::of_answer(prepared.run(values), &schema, room))
    }

    /// Prepares a statement, or closes one.
    async fn act(self, action: Action) -> Result<BoxStream<'static, Result<message::ActionResult, Status>>, Status> {
        let _room = self.admit(1).await?;
        match action.kind.as_str() {
            "CreatePreparedStatement" => {
                let asked: CreateStatement = Any::unpack(&action.body).map_err(malformed)?;
                let (handle, prepared, schema) = self.planned(asked.query).await?;
                let parameters = prepared.parameters().map_err(|cause| status(&sql_refusal(&cause)))?;
                let field = |(name, data_type): (String, Option<_>)| {
                    Field::new(name, data_type.unwrap_or(DataType::Utf8), true)
                };
                let parameters = Schema::new(parameters.into_iter().map(field).collect::<Vec<_>>());
                let created = CreatedStatement {
                    handle: handle.encode_to_vec(),
                    dataset_schema: stream::schema_message(&schema)?,
                    parameter_schema: stream::schema_message(&parameters)?,
                };
                Ok(listed(vec![message::ActionResult { body: Any::pack(&created).encode_to_vec() }]))
            }
            "ClosePreparedStatement" => {
                let _: CloseStatement = Any::unpack(&action.body).map_err(malformed)?;
                Ok(listed(Vec::new()))
            }
            other => Err(Status::unimplemented(format!("the action {other} is not offered"))),
        }
    }

    /// Takes the values of a prepared statement; the answer is a handle that has them.
    async fn put(
        self,
        mut sent: Streaming<FlightData>,
    ) -> Result<BoxStream<'static, Result<PutResult, Status>>, Status> {
        let _room = self.admit(1).await?;
        let Some(first) = sent.message().await? else { return Err(malformed("nothing was put")) };
        let asked = first.flight_descriptor.as_ref().map(|descriptor| descriptor.cmd.clone()).unwrap_or_default();
        let Command::Prepared(mut handle) = command(&asked)? else { return Err(read_only()) };
        let mut messages = vec![first];
        let mut bytes = 0;
        while let Some(next) = sent.message().await? {
            bytes += next.data_body.len() + next.data_header.len();
            if bytes > MESSAGE_BYTES_MAX {
                return Err(malformed(format!("the values have more than {MESSAGE_BYTES_MAX} bytes")));
            }
            messages.push(next);
        }
        handle.values = stream::row(&messages).await?;
        let put = PutStatement { handle: handle.encode_to_vec() };
        Ok(listed(vec![PutResult { app_metadata: put.encode_to_vec() }]))
    }
}

fn command(bytes: &[u8]) -> Result<Command, Status> {
    Command::decode(bytes).map_err(malformed)
}

/// The values of a handle, in order.
fn values(bytes: &[u8]) -> Result<Vec<ScalarValue>, Status> {
    if bytes.is_empty() {
        return Ok(Vec::new());
    }
    let batch = stream::read_row(bytes)?;
    let value = |column: &ArrayRef| ScalarValue::try_from_array(column.as_ref(), 0).map_err(malformed);
    batch.columns().iter().map(value).collect()
}

fn malformed(cause: impl std::fmt::Display) -> Status {
    status(&Refusal::new(ErrorCode::BadRequest, cause.to_string()))
}

fn read_only() -> Status {
    status(&Refusal::new(ErrorCode::SqlRefused, "an update is refused: expected a query"))
}

/// A refusal in gRPC's terms; the code of the closed set is the first word of the message.
fn status(refusal: &Refusal) -> Status {
    let code = match refusal.code {
        ErrorCode::NotReady | ErrorCode::Overloaded => Code::Unavailable,
        ErrorCode::Timeout => Code::DeadlineExceeded,
        ErrorCode::RateLimited | ErrorCode::TooComplex => Code::ResourceExhausted,
        ErrorCode::Internal => Code::Internal,
        ErrorCode::NotFound => Code::NotFound,
        ErrorCode::Unauthorized => Code::Unauthenticated,
        _ => Code::InvalidArgument,
    };
    Status::new(code, format!("{}: {}", refusal.code.as_str(), refusal.message))
}

#[cfg(test)]
mod tests;
