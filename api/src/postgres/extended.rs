//! Statements and portals: queries that are planned, bound to values and read in parts.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::datatypes::{DataType, Schema};
use datafusion::scalar::ScalarValue;
use datafusion::sql::sqlparser::ast;
use tokio::sync::OwnedSemaphorePermit;
use tokio_util::sync::CancellationToken;

use super::bind;
use super::connection::{Connection, End};
use super::fault::Fault;
use super::message::{self, Bind, Said, Target, put_count};
use super::statement::{self, Step};
use super::value::{Cells, Type};
use crate::sql_gate::{Answer, Prepared};

/// Statements, and portals, that a client may keep.
const KEPT_MAX: usize = 256;
/// Most bytes of the statements that a client keeps.
const KEPT_BYTES_MAX: usize = 4 << 20;

/// A statement that a client prepared.
pub(super) struct Statement {
    /// None for a text without a statement.
    step: Option<Step>,
    bytes: usize,
    /// The types of parameters: what the client said, 0 for nothing, and what follows from their places.
    parameters: Vec<(u32, Option<DataType>)>,
    /// As they were described, which binds what is sent.
    columns: Option<Vec<(String, Type)>>,
    /// The plan, for the first time that it runs, and the snapshot that it is of.
    ready: Option<(u64, Prepared)>,
}

/// A statement with values, and how far its answer was read.
pub(super) enum Portal {
    /// A text without a statement.
    Empty,
    /// Something that is no query.
    Beside(Step),
    /// A query that was not asked for rows yet.
    Bound(Prepared, Vec<Column>),
    /// A query that runs.
    Running(Rows),
    /// All of it was read.
    Done,
}

impl Portal {
    /// Whether it keeps a query at work.
    pub(super) const fn holds_rows(&self) -> bool {
        matches!(self, Self::Running(_))
    }
}

/// A column of an answer: its name, type and format.
#[derive(Debug, Clone)]
pub(super) struct Column {
    name: String,
    sent: Type,
    format: i16,
}

impl Column {
    fn described(&self) -> message::Column {
        message::Column {
            name: self.name.clone(),
            oid: self.sent.oid(),
            size: self.sent.size(),
            modifier: self.sent.modifier,
            format: self.format,
        }
    }
}

/// The columns of an answer in the formats that were asked for: none for text, one for all, or one each.
pub(super) fn columns(schema: &Schema, formats: &[i16]) -> Result<Vec<Column>, Fault> {
    in_formats(&shape(schema), formats)
}

fn shape(schema: &Schema) -> Vec<(String, Type)> {
    schema.fields().iter().map(|field| (field.name().clone(), Type::of(field.data_type()))).collect()
}

fn in_formats(shape: &[(String, Type)], formats: &[i16]) -> Result<Vec<Column>, Fault> {
    if formats.len() > 1 && formats.len() != shape.len() {
        return Err(Fault::protocol(format!("{} formats for {} columns", formats.len(), shape.len())));
    }
    let column = |(at, (name, sent)): (usize, &(String, Type))| {
        let format = formats.get(at).or_else(|| formats.first()).copied().unwrap_or(0);
        Column { name: name.clone(), sent: *sent, format }
    };
    Ok(shape.iter().enumerate().map(column).collect())
}

impl Connection {
    /// Does one message of the extended protocol.
    pub(super) async fn extended(&mut self, said: Said) -> Result<Result<(), Fault>, End> {
        let done = match said {
            Said::Parse { name, query, types } => self.parse(name, &query, types).await,
            Said::Bind(bind) => self.bind(bind).await,
            Said::Describe(Target::Statement(name)) => self.describe_statement(&name),
            Said::Describe(Target::Portal(name)) => self.describe_portal(&name),
            Said::Execute { portal, rows } => return self.execute(&portal, rows).await,
            Said::Close(target) => {
                match target {
                    Target::Statement(name) => drop(self.statements.remove(&name)),
                    Target::Portal(name) => drop(self.portals.remove(&name)),
                }
                self.out.bare(b'3');
                Ok(())
            }
            _ => Err(Fault::protocol("this was not expected here")),
        };
        Ok(done)
    }

    async fn parse(&mut self, name: String, query: &str, types: Vec<u32>) -> Result<(), Fault> {
        let mut steps = statement::read(query)?;
        if steps.len() > 1 {
            return Err(Fault::new("42601", format!("{} statements at once: expected one", steps.len())));
        }
        let kept: usize = self.statements.values().map(|one| one.bytes).sum();
        if self.statements.len() >= KEPT_MAX || kept + query.len() > KEPT_BYTES_MAX {
            let message = format!("more than {KEPT_MAX} statements, or {KEPT_BYTES_MAX} bytes of them: close some");
            return Err(Fault::new("54000", message));
        }
        let (mut parameters, mut ready) = (types.into_iter().map(|said| (said, None)).collect::<Vec<_>>(), None);
        if let Some(Step::Ask(asked)) = steps.first() {
            let (snapshot, prepared) = self.prepare(asked.clone()).await?;
            infer(&mut parameters, &prepared)?;
            ready = Some((snapshot, prepared));
        }
        let statement = Statement { step: steps.pop(), bytes: query.len(), parameters, columns: None, ready };
        self.statements.insert(name, statement);
        self.out.bare(b'1');
        Ok(())
    }

    async fn bind(&mut self, bind: Bind) -> Result<(), Fault> {
        let unknown = || Fault::new("26000", format!("there is no statement {:?}", bind.statement));
        let statement = self.statements.get_mut(&bind.statement).ok_or_else(unknown)?;
        if self.portals.len() >= KEPT_MAX {
            return Err(Fault::new("54000", format!("more than {KEPT_MAX} portals: close some")));
        }
        let portal = match statement.step.clone() {
            None => Portal::Empty,
            Some(Step::Ask(asked)) => {
                let values = values(&statement.parameters, &bind)?;
                let (described, ready) = (statement.columns.clone(), statement.ready.take());
                let prepared = self.again(asked, ready).await?;
                let prepared = if values.is_empty() { prepared } else { prepared.bound(values)? };
                let shape = described.unwrap_or_else(|| shape(&prepared.schema()));
                let columns = in_formats(&shape, &bind.results)?;
                Portal::Bound(prepared, columns)
            }
            Some(step) => Portal::Beside(step),
        };
        self.portals.insert(bind.portal, portal);
        self.out.bare(b'2');
        Ok(())
    }

    /// The plan that was made when the statement was prepared, if nothing was published since, or a new one, as for blocks
    /// that are not sealed.
    async fn again(&mut self, asked: Box<ast::Statement>, ready: Option<(u64, Prepared)>) -> Result<Prepared, Fault> {
        if let Some((snapshot, prepared)) = ready
            && prepared.tail().is_none()
            && self.pinned().await?.snapshot.version == snapshot
        {
            return Ok(prepared);
        }
        self.prepare(asked).await.map(|(_, prepared)| prepared)
    }

    fn describe_statement(&mut self, name: &str) -> Result<(), Fault> {
        let unknown = || Fault::new("26000", format!("there is no statement {name:?}"));
        let statement = self.statements.get_mut(name).ok_or_else(unknown)?;
        let types = statement.parameters.iter().map(|(said, inferred)| {
            if *said == 0 { bind::type_of(0, inferred.as_ref()).map(Type::oid) } else { Ok(*said) }
        });
        let types = types.collect::<Result<Vec<_>, _>>()?;
        if let Some((_, prepared)) = &statement.ready {
            let nulls =
                statement.parameters.iter().map(|(said, inferred)| bind::value(None, *said, inferred.as_ref(), 0));
            let nulls = nulls.collect::<Result<Vec<_>, _>>()?;
            let schema = if nulls.is_empty() { prepared.schema() } else { prepared.shape(nulls)? };
            statement.columns = Some(shape(&schema));
        }
        let columns = statement.columns.as_ref().map(|shape| in_formats(shape, &[])).transpose()?;
        self.out.parameters(&types);
        match columns {
            Some(columns) => self.out.columns(&columns.iter().map(Column::described).collect::<Vec<_>>()),
            None => self.out.bare(b'n'),
        }
        Ok(())
    }

    fn describe_portal(&mut self, name: &str) -> Result<(), Fault> {
        let columns = match self.portals.get(name).ok_or_else(|| no_portal(name))? {
            Portal::Bound(_, columns) => columns.as_slice(),
            Portal::Running(rows) => rows.columns.as_slice(),
            Portal::Empty | Portal::Beside(_) | Portal::Done => &[],
        };
        if columns.is_empty() {
            self.out.bare(b'n');
        } else {
            self.out.columns(&columns.iter().map(Column::described).collect::<Vec<_>>());
        }
        Ok(())
    }

    /// Some rows of a portal, or all of them when it says 0.
    async fn execute(&mut self, name: &str, rows: usize) -> Result<Result<(), Fault>, End> {
        let Some(portal) = self.portals.remove(name) else { return Ok(Err(no_portal(name))) };
        let mut running = match portal {
            Portal::Running(running) => running,
            Portal::Bound(prepared, columns) => match self.start(prepared, columns).await {
                Ok(running) => running,
                Err(fault) => return Ok(Err(fault)),
            },
            Portal::Beside(step) => {
                let done = self.beside(&step).await;
                return Ok(done.map(|tag| self.out.complete(tag)));
            }
            Portal::Empty => {
                self.out.bare(b'I');
                return Ok(Ok(()));
            }
            Portal::Done => {
                self.portals.insert(name.to_owned(), Portal::Done);
                self.out.complete("SELECT 0");
                return Ok(Ok(()));
            }
        };
        Ok(match running.send(self, (rows > 0).then_some(rows)).await? {
            Err(fault) => Err(fault),
            Ok(more) => {
                let left = if more { Portal::Running(running) } else { Portal::Done };
                self.portals.insert(name.to_owned(), left);
                Ok(())
            }
        })
    }
}

fn no_portal(name: &str) -> Fault {
    Fault::new("34000", format!("there is no portal {name:?}"))
}

/// Adds what a plan says of parameters.
fn infer(parameters: &mut Vec<(u32, Option<DataType>)>, prepared: &Prepared) -> Result<(), Fault> {
    for (name, inferred) in prepared.parameters()? {
        let number = name.strip_prefix('$').and_then(|digits| digits.parse::<u16>().ok());
        let number = number.and_then(|number| usize::from(number).checked_sub(1));
        let at = number.ok_or_else(|| Fault::new("42P02", format!("{name} is no parameter: expected $1, $2, …")))?;
        if parameters.len() <= at {
            parameters.resize(at + 1, (0, None));
        }
        if let Some(parameter) = parameters.get_mut(at) {
            parameter.1 = inferred;
        }
    }
    Ok(())
}

/// The values of a bind message, in order.
fn values(parameters: &[(u32, Option<DataType>)], bind: &Bind) -> Result<Vec<ScalarValue>, Fault> {
    if bind.values.len() != parameters.len() {
        let message = format!("{} values for {} parameters", bind.values.len(), parameters.len());
        return Err(Fault::protocol(message));
    }
    if bind.formats.len() > 1 && bind.formats.len() != bind.values.len() {
        return Err(Fault::protocol(format!("{} formats for {} values", bind.formats.len(), bind.values.len())));
    }
    let values = bind.values.iter().zip(parameters).enumerate().map(|(at, (value, (said, inferred)))| {
        let format = bind.formats.get(at).or_else(|| bind.formats.first()).copied().unwrap_or(0);
        bind::value(value.as_deref(), *said, inferred.as_ref(), format)
    });
    values.collect()
}

/// The rows of a query that runs.
pub(super) struct Rows {
    answer: Answer,
    columns: Vec<Column>,
    /// The batch that is being sent, ready by column, its rows and the next of them.
    batch: Option<(Vec<Cells>, usize, usize)>,
    tag: &'static str,
    sent: usize,
    stop: CancellationToken,
    _room: OwnedSemaphorePermit,
}

impl Rows {
    pub(super) fn new(
        prepared: Prepared,
        columns: Vec<Column>,
        room: OwnedSemaphorePermit,
        stop: CancellationToken,
    ) -> Self {
        let tag = if prepared.is_explanation() { "EXPLAIN" } else { "SELECT" };
        Self { answer: prepared.run(Vec::new()), columns, batch: None, tag, sent: 0, stop, _room: room }
    }

    /// What its columns are.
    pub(super) fn columns(&self) -> Vec<message::Column> {
        self.columns.iter().map(Column::described).collect()
    }

    /// Sends at most so many rows, and says how it ended; whether there are more.
    pub(super) async fn send(&mut self, to: &mut Connection, most: Option<usize>) -> Result<Result<bool, Fault>, End> {
        let mut left = most;
        self.sent = 0;
        loop {
            if left == Some(0) {
                to.out.bare(b's');
                return Ok(Ok(true));
            }
            let Some((cells, rows, next)) = &mut self.batch else {
                match self.fetch().await {
                    Err(fault) => return Ok(Err(fault)),
                    Ok(true) => continue,
                    Ok(false) => {
                        let tag =
                            if self.tag == "SELECT" { format!("SELECT {}", self.sent) } else { self.tag.to_owned() };
                        to.out.complete(&tag);
                        return Ok(Ok(false));
                    }
                }
            };
            let row = *next;
            if row == *rows {
                self.batch = None;
                continue;
            }
            *next += 1;
            to.out.message(b'D', |body| {
                put_count(body, cells.len());
                cells.iter().for_each(|cell| cell.put(row, body));
            });
            self.sent += 1;
            left = left.map(|left| left - 1);
            to.flush_much().await?;
        }
    }

    /// Fetches the next batch; false when there is none.
    async fn fetch(&mut self) -> Result<bool, Fault> {
        let next = tokio::select! {
            biased;
            () = self.stop.cancelled() => return Err(Fault::cancelled()),
            next = self.answer.next() => next,
        };
        let Some(batch) = next.transpose()? else { return Ok(false) };
        let cells =
            self.ready(&batch).map_err(|cause| Fault::new("42804", format!("a column cannot be sent: {cause}")))?;
        self.batch = Some((cells, batch.num_rows(), 0));
        Ok(true)
    }

    fn ready(&self, batch: &RecordBatch) -> Result<Vec<Cells>, arrow::error::ArrowError> {
        let columns = batch.columns().iter().zip(&self.columns);
        columns.map(|(array, column)| Cells::new(&Arc::clone(array), column.sent, column.format)).collect()
    }
}
