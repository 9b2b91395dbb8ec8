//! How much one client may ask for: a quota per address, weighted by cost, told in headers.
//!
//! The quota is governor's generic cell rate algorithm. An IPv6 client is its /64, because one host has as many
//! addresses as it likes there. `X-Forwarded-For` is believed only from listed proxies, and from the right: the last
//! hop that is no proxy of ours is the client.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU32;
use std::time::Duration;

use axum::http::{HeaderMap, HeaderValue};
use governor::clock::{Clock as _, DefaultClock};
use governor::middleware::StateInformationMiddleware;
use governor::state::keyed::DashMapStateStore;
use governor::{Quota, RateLimiter};

use crate::keys::has_key;

/// Clients remembered before those that are idle are forgotten.
const CLIENTS_KEPT: usize = 20_000;

/// A quota.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RateLimit {
    /// Units that may be used at once.
    pub burst: NonZeroU32,
    /// Time in which all of them come back.
    pub window: Duration,
}

impl Default for RateLimit {
    fn default() -> Self {
        Self { burst: const { NonZeroU32::new(600).expect("600 is not zero") }, window: Duration::from_secs(60) }
    }
}

/// What is left after a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Remaining {
    pub(crate) units: u32,
    /// Until more may be asked for, when nothing is left.
    pub(crate) wait: Option<Duration>,
    /// Whether the quota is one of an API key.
    pub(crate) keyed: bool,
}

/// The quotas of all clients.
pub(crate) struct Limiter {
    strangers: Quotas,
    keyed: Quotas,
    clock: DefaultClock,
}

/// Quotas of one size.
struct Quotas {
    name: &'static str,
    limit: RateLimit,
    clients: RateLimiter<IpAddr, DashMapStateStore<IpAddr>, DefaultClock, StateInformationMiddleware>,
}

impl Quotas {
    fn new(name: &'static str, limit: RateLimit) -> Option<Self> {
        let each = limit.window.checked_div(limit.burst.get())?;
        let quota = Quota::with_period(each)?.allow_burst(limit.burst);
        Some(Self { name, limit, clients: RateLimiter::dashmap(quota).with_middleware() })
    }
}

impl std::fmt::Debug for Limiter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Limiter").field("limit", &self.strangers.limit).finish_non_exhaustive()
    }
}

impl Limiter {
    /// Quotas of `limit` for each address, of `keyed` for each API key; `None` when a window is too short to divide.
    pub(crate) fn new(limit: RateLimit, keyed: RateLimit) -> Option<Self> {
        let (strangers, keyed) = (Quotas::new("default", limit)?, Quotas::new("key", keyed)?);
        Some(Self { strangers, keyed, clock: DefaultClock::default() })
    }

    fn of(&self, client: IpAddr) -> &Quotas {
        if has_key(client) { &self.keyed } else { &self.strangers }
    }

    /// Takes `units` from the quota of `client`; what costs more than a whole quota takes the whole quota.
    pub(crate) fn charge(&self, client: IpAddr, units: u32) -> Result<Remaining, Remaining> {
        let (quotas, keyed) = (self.of(client), has_key(client));
        if quotas.clients.len() > CLIENTS_KEPT {
            quotas.clients.retain_recent();
        }
        let units = std::cmp::min(NonZeroU32::new(units).unwrap_or(NonZeroU32::MIN), quotas.limit.burst);
        let none = |wait| Remaining { units: 0, wait: Some(wait), keyed };
        match quotas.clients.check_key_n(&client, units) {
            Ok(Ok(left)) => Ok(Remaining { units: left.remaining_burst_capacity(), wait: None, keyed }),
            Ok(Err(until)) => Err(none(until.wait_time_from(self.clock.now()))),
            Err(_) => Err(none(quotas.limit.window)),
        }
    }

    /// Says what is left, in the fields of draft-ietf-httpapi-ratelimit-headers.
    pub(crate) fn tell(&self, left: Remaining, headers: &mut HeaderMap) {
        let Quotas { name, limit, .. } = if left.keyed { &self.keyed } else { &self.strangers };
        let (burst, window) = (limit.burst, whole_seconds(limit.window));
        let mut set = |name: &'static str, text: String| {
            if let Ok(value) = HeaderValue::try_from(text) {
                headers.insert(name, value);
            }
        };
        set("ratelimit-policy", format!("\"{name}\";q={burst};w={window}"));
        let used = burst.get().saturating_sub(left.units);
        let reset = limit.window.checked_div(burst.get()).and_then(|each| each.checked_mul(used));
        let reset = whole_seconds(left.wait.or(reset).unwrap_or(limit.window));
        set("ratelimit", format!("\"{name}\";r={};t={reset}", left.units));
        if let Some(wait) = left.wait {
            set("retry-after", whole_seconds(wait).to_string());
        }
    }
}

/// At least one second, rounded up: a client that waits this long is let in.
fn whole_seconds(time: Duration) -> u64 {
    std::cmp::max(time.as_secs() + u64::from(time.subsec_nanos() > 0), 1)
}

/// Who is asking.
pub(crate) fn client(peer: IpAddr, headers: &HeaderMap, proxies: &BTreeSet<IpAddr>) -> IpAddr {
    let mut asking = peer.to_canonical();
    let lists = headers.get_all("x-forwarded-for").into_iter().filter_map(|value| value.to_str().ok());
    let hops = lists.flat_map(|list| list.split(',')).map(str::trim).collect::<Vec<_>>();
    let mut hops = hops.into_iter().rev();
    while proxies.contains(&asking) {
        let Some(Ok(hop)) = hops.next().map(str::parse::<IpAddr>) else { break };
        asking = hop.to_canonical();
    }
    match asking {
        IpAddr::V4(_) => asking,
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn forwarded(text: &str) -> HeaderMap {
        HeaderMap::from_iter([("x-forwarded-for".parse().unwrap(), text.parse().unwrap())])
    }

    #[test]
    fn only_listed_proxies_are_believed() {
        let proxies = BTreeSet::from(["10.0.0.1".parse().unwrap(), "10.0.0.2".parse().unwrap()]);
        for (peer, header, expected) in [
            ("10.0.0.1", "", "10.0.0.1"),
            ("10.0.0.1", "1.2.3.4", "1.2.3.4"),
            ("10.0.0.1", "6.6.6.6, 1.2.3.4, 10.0.0.2", "1.2.3.4"),
            ("9.9.9.9", "1.2.3.4", "9.9.9.9"),
            ("::ffff:9.9.9.9", "1.2.3.4", "9.9.9.9"),
            ("10.0.0.1", "not an address", "10.0.0.1"),
            ("2001:db8:1:2:3:4:5:6", "", "2001:db8:1:2::"),
        ] {
            let got = client(peer.parse().unwrap(), &forwarded(header), &proxies);
            assert_eq!(got, expected.parse::<IpAddr>().unwrap(), "{peer} {header}");
        }
    }

    #[test]
    fn the_quota_is_per_client_and_weighted() {
        let limit = RateLimit { burst: NonZeroU32::new(10).unwrap(), window: Duration::from_secs(1_000_000) };
        let limiter = Limiter::new(limit, limit).unwrap();
        let (one, two) = ("1.1.1.1".parse().unwrap(), "2.2.2.2".parse().unwrap());
        assert_eq!(limiter.charge(one, 4), Ok(Remaining { units: 6, wait: None, keyed: false }));
        assert_eq!(limiter.charge(one, 6), Ok(Remaining { units: 0, wait: None, keyed: false }));
        let refused = limiter.charge(one, 1).unwrap_err();
        assert!(refused.wait.unwrap() > Duration::from_secs(1), "{refused:?}");
        assert_eq!(
            limiter.charge(two, 99),
            Ok(Remaining { units: 0, wait: None, keyed: false }),
            "a whole quota at most"
        );
        let mut headers = HeaderMap::new();
        limiter.tell(Remaining { units: 6, wait: None, keyed: false }, &mut headers);
        assert_eq!(headers["ratelimit-policy"], "\"default\";q=10;w=1000000");
        assert_eq!(headers["ratelimit"], "\"default\";r=6;t=400000");
        assert!(!headers.contains_key("retry-after"));
    }
}
