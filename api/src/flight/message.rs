//! The messages of `Flight.proto` and `FlightSql.proto` that this server speaks, by their tags there; fields that it
//! neither reads nor writes are left out, as protobuf allows.

use alloy_primitives::B256;
use prost::{DecodeError, Message, Name};
use tributary_store::HeldHead;

const TYPES: &str = "type.googleapis.com/";

/// `google.protobuf.Any`: a message and the name of its type.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Any {
    #[prost(string, tag = "1")]
    pub(super) type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(super) value: Vec<u8>,
}

impl Any {
    pub(super) fn pack<M: Name>(message: &M) -> Self {
        Self { type_url: format!("{TYPES}{}", M::full_name()), value: message.encode_to_vec() }
    }

    /// The message in these bytes, which must be of this type.
    pub(super) fn unpack<M: Name + Default>(bytes: &[u8]) -> Result<M, String> {
        let any = Self::decode(bytes).map_err(|cause| cause.to_string())?;
        any.read::<M>().ok_or_else(|| format!("{} was sent: expected {}", any.type_url, M::full_name()))?.map_err(told)
    }

    fn read<M: Name + Default>(&self) -> Option<Result<M, DecodeError>> {
        let name = self.type_url.rsplit('/').next()?;
        (name == M::full_name()).then(|| M::decode(self.value.as_slice()))
    }

    /// The ticket of a query.
    pub(super) fn statement(handle: &Handle) -> Self {
        Self::pack(&StatementTicket { handle: handle.encode_to_vec() })
    }

    /// The ticket of a prepared statement.
    pub(super) fn prepared(handle: &Handle) -> Self {
        Self::pack(&PreparedQuery { handle: handle.encode_to_vec() })
    }
}

fn told(cause: DecodeError) -> String {
    cause.to_string()
}

/// What a descriptor or a ticket asks for.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Command {
    /// A query to plan.
    Query(String),
    /// A query that was planned.
    Prepared(Handle),
    /// A write.
    Update,
    /// Something of the catalogue.
    Metadata(Metadata),
}

/// What may be asked of the catalogue.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Metadata {
    Catalogs(GetCatalogs),
    Schemas(GetDbSchemas),
    Tables(GetTables),
    TableTypes(GetTableTypes),
    PrimaryKeys(GetPrimaryKeys),
    SqlInfo(GetSqlInfo),
    Keys,
}

impl Command {
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, String> {
        let any = Any::decode(bytes).map_err(told)?;
        let handle = |bytes: Vec<u8>| Handle::decode(bytes.as_slice()).map(Self::Prepared);
        let found = None
            .or_else(|| any.read::<StatementQuery>().map(|found| found.map(|one| Self::Query(one.query))))
            .or_else(|| any.read::<StatementTicket>().map(|found| found.and_then(|one| handle(one.handle))))
            .or_else(|| any.read::<PreparedQuery>().map(|found| found.and_then(|one| handle(one.handle))))
            .or_else(|| any.read::<StatementUpdate>().map(|found| found.map(|_| Self::Update)))
            .or_else(|| any.read::<PreparedUpdate>().map(|found| found.map(|_| Self::Update)))
            .or_else(|| any.read::<StatementIngest>().map(|found| found.map(|_| Self::Update)))
            .or_else(|| Metadata::read(&any).map(|found| found.map(Self::Metadata)));
        found.ok_or_else(|| format!("the command {:?} is not offered", any.type_url))?.map_err(told)
    }
}

impl Metadata {
    fn read(any: &Any) -> Option<Result<Self, DecodeError>> {
        None.or_else(|| any.read().map(|found| found.map(Self::Catalogs)))
            .or_else(|| any.read().map(|found| found.map(Self::Schemas)))
            .or_else(|| any.read().map(|found| found.map(Self::Tables)))
            .or_else(|| any.read().map(|found| found.map(Self::TableTypes)))
            .or_else(|| any.read().map(|found| found.map(Self::PrimaryKeys)))
            .or_else(|| any.read().map(|found| found.map(Self::SqlInfo)))
            .or_else(|| any.read::<GetExportedKeys>().map(|found| found.map(|_| Self::Keys)))
            .or_else(|| any.read::<GetImportedKeys>().map(|found| found.map(|_| Self::Keys)))
            .or_else(|| any.read::<GetCrossReference>().map(|found| found.map(|_| Self::Keys)))
    }
}

/// What a ticket or a prepared statement is: ours, opaque to clients.
#[derive(Clone, PartialEq, Message)]
pub(super) struct Handle {
    /// Version of the snapshot.
    #[prost(uint64, tag = "1")]
    pub(super) snapshot: u64,
    /// The query.
    #[prost(string, tag = "2")]
    pub(super) query: String,
    /// One row of values as an Arrow IPC stream; empty for none.
    #[prost(bytes = "vec", tag = "3")]
    pub(super) values: Vec<u8>,
    /// The generation it is of, by the hash of its mapping set.
    #[prost(bytes = "vec", tag = "4")]
    pub(super) generation: Vec<u8>,
    /// The newest block it reads that is not sealed, where it reads such.
    #[prost(uint64, tag = "5")]
    pub(super) tail_block: u64,
    /// The hash of that block; empty for none.
    #[prost(bytes = "vec", tag = "6")]
    pub(super) tail_hash: Vec<u8>,
}

impl Handle {
    /// The newest block it reads that is not sealed.
    pub(super) fn tail(&self) -> Result<Option<HeldHead>, String> {
        if self.tail_hash.is_empty() {
            return Ok(None);
        }
        let hash = B256::try_from(self.tail_hash.as_slice()).map_err(|cause| cause.to_string())?;
        Ok(Some(HeldHead { number: self.tail_block, hash }))
    }
}

macro_rules! messages {
    ($($(#[doc = $doc:literal])* $package:literal $proto:literal $name:ident { $($(#[$attribute:meta])* $field:ident: $type:ty,)* })*) => {$(
        $(#[doc = $doc])*
        #[derive(Clone, PartialEq, Message)]
        pub(super) struct $name { $($(#[$attribute])* pub(super) $field: $type,)* }
        impl Name for $name {
            const NAME: &'static str = $proto;
            const PACKAGE: &'static str = $package;
        }
    )*};
}

messages! {
    "arrow.flight.protocol" "Empty" Empty {}
    "arrow.flight.protocol" "FlightDescriptor" FlightDescriptor {
        #[prost(int32, tag = "1")] kind: i32,
        #[prost(bytes = "vec", tag = "2")] cmd: Vec<u8>,
        #[prost(string, repeated, tag = "3")] path: Vec<String>,
    }
    "arrow.flight.protocol" "FlightInfo" FlightInfo {
        #[prost(bytes = "vec", tag = "1")] schema: Vec<u8>,
        #[prost(message, optional, tag = "2")] flight_descriptor: Option<FlightDescriptor>,
        #[prost(message, repeated, tag = "3")] endpoint: Vec<FlightEndpoint>,
        #[prost(int64, tag = "4")] total_records: i64,
        #[prost(int64, tag = "5")] total_bytes: i64,
    }
    "arrow.flight.protocol" "FlightEndpoint" FlightEndpoint {
        #[prost(message, optional, tag = "1")] ticket: Option<Ticket>,
    }
    "arrow.flight.protocol" "Ticket" Ticket { #[prost(bytes = "vec", tag = "1")] ticket: Vec<u8>, }
    "arrow.flight.protocol" "SchemaResult" SchemaResult { #[prost(bytes = "vec", tag = "1")] schema: Vec<u8>, }
    "arrow.flight.protocol" "FlightData" FlightData {
        #[prost(message, optional, tag = "1")] flight_descriptor: Option<FlightDescriptor>,
        #[prost(bytes = "vec", tag = "2")] data_header: Vec<u8>,
        #[prost(bytes = "vec", tag = "1000")] data_body: Vec<u8>,
    }
    "arrow.flight.protocol" "PutResult" PutResult { #[prost(bytes = "vec", tag = "1")] app_metadata: Vec<u8>, }
    "arrow.flight.protocol" "Action" Action {
        #[prost(string, tag = "1")] kind: String,
        #[prost(bytes = "vec", tag = "2")] body: Vec<u8>,
    }
    "arrow.flight.protocol" "Result" ActionResult { #[prost(bytes = "vec", tag = "1")] body: Vec<u8>, }
    "arrow.flight.protocol" "ActionType" ActionType {
        #[prost(string, tag = "1")] kind: String,
        #[prost(string, tag = "2")] description: String,
    }
    "arrow.flight.protocol.sql" "CommandStatementQuery" StatementQuery { #[prost(string, tag = "1")] query: String, }
    "arrow.flight.protocol.sql" "TicketStatementQuery" StatementTicket {
        #[prost(bytes = "vec", tag = "1")] handle: Vec<u8>,
    }
    "arrow.flight.protocol.sql" "CommandPreparedStatementQuery" PreparedQuery {
        #[prost(bytes = "vec", tag = "1")] handle: Vec<u8>,
    }
    "arrow.flight.protocol.sql" "CommandStatementUpdate" StatementUpdate {}
    "arrow.flight.protocol.sql" "CommandPreparedStatementUpdate" PreparedUpdate {}
    "arrow.flight.protocol.sql" "CommandStatementIngest" StatementIngest {}
    "arrow.flight.protocol.sql" "ActionCreatePreparedStatementRequest" CreateStatement {
        #[prost(string, tag = "1")] query: String,
    }
    "arrow.flight.protocol.sql" "ActionCreatePreparedStatementResult" CreatedStatement {
        #[prost(bytes = "vec", tag = "1")] handle: Vec<u8>,
        #[prost(bytes = "vec", tag = "2")] dataset_schema: Vec<u8>,
        #[prost(bytes = "vec", tag = "3")] parameter_schema: Vec<u8>,
    }
    "arrow.flight.protocol.sql" "ActionClosePreparedStatementRequest" CloseStatement {}
    "arrow.flight.protocol.sql" "DoPutPreparedStatementResult" PutStatement {
        #[prost(bytes = "vec", tag = "1")] handle: Vec<u8>,
    }
    "arrow.flight.protocol.sql" "CommandGetCatalogs" GetCatalogs {}
    "arrow.flight.protocol.sql" "CommandGetDbSchemas" GetDbSchemas {
        #[prost(string, optional, tag = "1")] catalog: Option<String>,
        #[prost(string, optional, tag = "2")] schema_pattern: Option<String>,
    }
    "arrow.flight.protocol.sql" "CommandGetTables" GetTables {
        #[prost(string, optional, tag = "1")] catalog: Option<String>,
        #[prost(string, optional, tag = "2")] schema_pattern: Option<String>,
        #[prost(string, optional, tag = "3")] table_pattern: Option<String>,
        #[prost(string, repeated, tag = "4")] table_types: Vec<String>,
        #[prost(bool, tag = "5")] include_schema: bool,
    }
    "arrow.flight.protocol.sql" "CommandGetTableTypes" GetTableTypes {}
    "arrow.flight.protocol.sql" "CommandGetPrimaryKeys" GetPrimaryKeys {
        #[prost(string, optional, tag = "1")] catalog: Option<String>,
        #[prost(string, optional, tag = "2")] schema: Option<String>,
        #[prost(string, tag = "3")] table: String,
    }
    "arrow.flight.protocol.sql" "CommandGetExportedKeys" GetExportedKeys {}
    "arrow.flight.protocol.sql" "CommandGetImportedKeys" GetImportedKeys {}
    "arrow.flight.protocol.sql" "CommandGetCrossReference" GetCrossReference {}
    "arrow.flight.protocol.sql" "CommandGetSqlInfo" GetSqlInfo { #[prost(uint32, repeated, tag = "1")] info: Vec<u32>, }
}
