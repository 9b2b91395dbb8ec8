//! Room for queries in SQL: so many at a time, as each may use its memory, and a place for each way in that the others
//! cannot take.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

use super::routes::WAIT_FOR_ROOM;
use crate::error::{ErrorCode, Refusal};

/// How a query comes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Way {
    /// `POST /v1/sql`.
    Http,
    /// Arrow Flight SQL.
    Flight,
    /// PostgreSQL's protocol.
    Postgres,
}

/// The places of all ways in together.
#[derive(Debug)]
pub(crate) struct SqlRoom {
    /// One place of each way in that is served.
    own: BTreeMap<Way, Arc<Semaphore>>,
    /// The rest, for whoever comes first.
    shared: Arc<Semaphore>,
}

impl SqlRoom {
    /// `places` in all; none when they are fewer than the ways in, or more than can be counted.
    pub(crate) fn new(places: usize, ways: &[Way]) -> Option<Self> {
        let shared = places.checked_sub(ways.len()).filter(|shared| *shared <= Semaphore::MAX_PERMITS)?;
        let own = ways.iter().map(|way| (*way, Arc::new(Semaphore::new(1)))).collect();
        Some(Self { own, shared: Arc::new(Semaphore::new(shared)) })
    }

    /// A place for a query, which is taken for as long as the permit is kept. Whoever finds none waits a moment and is
    /// then turned away.
    pub(crate) async fn enter(&self, way: Way) -> Result<OwnedSemaphorePermit, Refusal> {
        let place = async {
            let shared = Arc::clone(&self.shared).acquire_owned();
            match self.own.get(&way) {
                None => shared.await,
                Some(own) => tokio::select! {
                    biased;
                    place = Arc::clone(own).acquire_owned() => place,
                    place = shared => place,
                },
            }
        };
        match timeout(WAIT_FOR_ROOM, place).await {
            Ok(Ok(place)) => Ok(place),
            _ => Err(Refusal::new(ErrorCode::Overloaded, "more queries at once than this server takes")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn no_way_in_takes_the_place_of_another() {
        let room = SqlRoom::new(4, &[Way::Http, Way::Flight]).unwrap();
        let flight = [room.enter(Way::Flight).await, room.enter(Way::Flight).await, room.enter(Way::Flight).await];
        assert!(flight.iter().all(Result::is_ok), "{flight:?}");
        assert_eq!(room.enter(Way::Flight).await.unwrap_err().code, ErrorCode::Overloaded);
        let http = room.enter(Way::Http).await.unwrap();
        assert_eq!(room.enter(Way::Http).await.unwrap_err().code, ErrorCode::Overloaded);
        drop(flight);
        let _more = [room.enter(Way::Http).await.unwrap(), room.enter(Way::Http).await.unwrap()];
        assert!(room.enter(Way::Http).await.is_err(), "a place of the other way in is free and stays so");
        drop(http);
        assert!(room.enter(Way::Http).await.is_ok() && room.enter(Way::Flight).await.is_ok());
    }

    #[test]
    fn there_is_a_place_for_each_way_in() {
        let ways = [Way::Http, Way::Flight, Way::Postgres];
        assert!(SqlRoom::new(2, &ways).is_none() && SqlRoom::new(usize::MAX, &ways).is_none());
        assert!(SqlRoom::new(3, &ways).is_some());
    }
}
