//! How many requests are taken in a second, of one client and of all.
//!
//! Each is a bucket that fills steadily; a request that finds it empty is refused with the time after
//! which there will be room. Renewals, releases and cancellations keep locks safe and end load: they
//! count, but only their client's own bucket refuses them. Health, readiness and metrics are free.

use super::client::Client;
use super::problem::{Problem, RATE_LIMITED};
use super::routes::LOCKS;
use super::tunables::Rates;
use actix_web::http::Method;
use arc_swap::ArcSwap;
use governor::clock::{Clock, DefaultClock, Reference};
use governor::middleware::NoOpMiddleware;
use governor::nanos::Nanos;
use governor::state::keyed::HashMapStateStore;
use governor::state::{InMemoryState, NotKeyed};
use governor::{NotUntil, Quota, RateLimiter};
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU32, NonZeroUsize};
use std::sync::Arc;
use std::time::Duration;

/// Clients with a bucket of their own. While more are active, all share [`CROWD_BUCKETS`] by chance.
const CLIENTS_MAX: usize = 100_000;
/// Buckets for those who are too many.
const CROWD_BUCKETS: u64 = 4096;
/// Full buckets are forgotten this often: they say nothing.
const SWEEP_INTERVAL: Duration = Duration::from_secs(10);
/// The same while there are too many.
const SWEEP_INTERVAL_CROWDED: Duration = Duration::from_secs(1);

const PER_CLIENT: &str = "rate-limit.per-client";
const GLOBAL: &str = "rate-limit.global";

/// What a request does to the load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Never refused, not counted: whoever watches must see.
    Watches,
    /// It ends something or keeps a lock safe.
    Relieves,
    /// Anything else.
    Asks,
}

impl Kind {
    /// What a request does, by its method and path.
    pub(super) fn of(method: &Method, path: &str) -> Self {
        let below_locks = || path.strip_prefix(LOCKS).and_then(|rest| rest.strip_prefix('/'));
        match *method {
            Method::GET | Method::HEAD if matches!(path, "/healthz" | "/readyz" | "/metrics") => {
                Self::Watches
            }
            Method::DELETE => Self::Relieves,
            // Whoever wants to end an overload by a setting must get through it.
            Method::PATCH => Self::Relieves,
            Method::POST => match below_locks() {
                Some("release-by-pull") => Self::Relieves,
                Some(rest) if rest.ends_with("/renew") || rest.ends_with("/force-release") => Self::Relieves,
                _ => Self::Asks,
            },
            _ => Self::Asks,
        }
    }
}

/// Counts requests, and refuses what is too many.
pub(super) struct RateLimits {
    /// As the settings were when it was made; made anew when they change.
    built: ArcSwap<Buckets<DefaultClock>>,
}

impl RateLimits {
    pub(super) fn new() -> Self {
        Self { built: ArcSwap::from_pointee(Buckets::new(Rates::default(), DefaultClock::default())) }
    }

    /// Is this request one too many?
    pub(super) fn check(&self, rates: &Rates, client: Client, kind: Kind) -> Result<(), Problem> {
        if kind == Kind::Watches || (rates.per_client.is_none() && rates.global.is_none()) {
            return Ok(());
        }
        let mut buckets = self.built.load_full();
        if buckets.rates != *rates {
            // All begin with a full bucket; several that see the change at once may do so twice.
            buckets = Arc::new(Buckets::new(*rates, DefaultClock::default()));
            self.built.store(Arc::clone(&buckets));
        }
        buckets.check(client, kind).map_err(|refused| {
            metrics().limit_refused(refused.limit);
            refused.problem()
        })
    }
}

/// A request too many.
#[derive(Debug, PartialEq, Eq)]
struct Refused {
    limit: &'static str,
    value: usize,
    wait: Duration,
}

impl Refused {
    fn problem(&self) -> Problem {
        let Self { limit, value, wait } = self;
        let who = if *limit == PER_CLIENT { "this client" } else { "all clients together" };
        let secs = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
        Problem::new(&RATE_LIMITED, format!("{who} may make {value} requests a second ({limit})"))
            .with("limit", limit)
            .with("value", value)
            .after(Duration::from_secs(secs))
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Key {
    Client(Client),
    Crowd(u64),
}

type Middleware<C> = NoOpMiddleware<<C as Clock>::Instant>;
type Keyed<C> = RateLimiter<Key, HashMapStateStore<Key>, C, Middleware<C>>;
type Single<C> = RateLimiter<NotKeyed, InMemoryState, C, Middleware<C>>;

struct Buckets<C: Clock> {
    rates: Rates,
    clock: C,
    per_client: Option<(NonZeroUsize, Keyed<C>)>,
    global: Option<(NonZeroUsize, Single<C>)>,
    swept_at: Mutex<C::Instant>,
    hasher: RandomState,
    clients_max: usize,
}

impl<C: Clock + Clone> Buckets<C> {
    fn new(rates: Rates, clock: C) -> Self {
        let per_client = rates.per_client.map(|rate| {
            let quota = Quota::per_second(small(rate)).allow_burst(small(rates.burst.unwrap_or(rate)));
            (rate, RateLimiter::new(quota, HashMapStateStore::default(), clock.clone()))
        });
        let global = rates.global.map(|rate| {
            (rate, RateLimiter::new(Quota::per_second(small(rate)), InMemoryState::default(), clock.clone()))
        });
        let swept_at = Mutex::new(clock.now());
        Self {
            rates,
            clock,
            per_client,
            global,
            swept_at,
            hasher: RandomState::new(),
            clients_max: CLIENTS_MAX,
        }
    }

    fn check(&self, client: Client, kind: Kind) -> Result<(), Refused> {
        let refused = |limit: &'static str, value: NonZeroUsize, until: NotUntil<C::Instant>| Refused {
            limit,
            value: value.get(),
            wait: until.wait_time_from(self.clock.now()),
        };
        if let Some((rate, limiter)) = &self.per_client {
            self.sweep(limiter);
            limiter
                .check_key(&self.key(limiter, client))
                .map_err(|until| refused(PER_CLIENT, *rate, until))?;
        }
        match &self.global {
            Some((rate, limiter)) => match limiter.check() {
                Err(until) if kind == Kind::Asks => Err(refused(GLOBAL, *rate, until)),
                _ => Ok(()),
            },
            None => Ok(()),
        }
    }

    fn key(&self, limiter: &Keyed<C>, client: Client) -> Key {
        if limiter.len() < self.clients_max {
            Key::Client(client)
        } else {
            Key::Crowd(self.hasher.hash_one(client) % CROWD_BUCKETS)
        }
    }

    /// Forgets clients that have not asked for so long that they may ask for all they ever may.
    fn sweep(&self, limiter: &Keyed<C>) {
        let crowded = limiter.len() >= self.clients_max;
        let interval = Nanos::from(if crowded { SWEEP_INTERVAL_CROWDED } else { SWEEP_INTERVAL });
        let now = self.clock.now();
        let Some(mut swept_at) = self.swept_at.try_lock() else { return };
        if now.duration_since(*swept_at) >= interval {
            *swept_at = now;
            limiter.retain_recent();
            limiter.shrink_to_fit();
        }
    }
}

/// More than four billion a second are as good as no limit.
fn small(number: NonZeroUsize) -> NonZeroU32 {
    NonZeroU32::try_from(number).unwrap_or(NonZeroU32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderMap;
    use governor::clock::FakeRelativeClock;

    fn client(number: u32) -> Client {
        Client::read(Some(std::net::Ipv4Addr::from(number).into()), &HeaderMap::new(), &[])
    }

    fn buckets(
        per_client: usize,
        burst: usize,
        global: usize,
    ) -> (Buckets<FakeRelativeClock>, FakeRelativeClock) {
        let clock = FakeRelativeClock::default();
        let rates = Rates {
            per_client: NonZeroUsize::new(per_client),
            burst: NonZeroUsize::new(burst),
            global: NonZeroUsize::new(global),
        };
        (Buckets::new(rates, clock.clone()), clock)
    }

    #[test]
    fn each_client_has_its_own_bucket() {
        let (buckets, clock) = buckets(10, 3, 0);
        for _ in 0..3 {
            assert_eq!(buckets.check(client(1), Kind::Asks), Ok(()));
        }
        let wait = Duration::from_millis(100);
        let refused = Refused { limit: PER_CLIENT, value: 10, wait };
        assert_eq!(buckets.check(client(1), Kind::Asks), Err(refused));
        // What ends load counts as any, for its own client.
        assert!(buckets.check(client(1), Kind::Relieves).is_err());
        assert_eq!(buckets.check(client(2), Kind::Asks), Ok(()));
        clock.advance(wait);
        assert_eq!(buckets.check(client(1), Kind::Asks), Ok(()));
        assert!(buckets.check(client(1), Kind::Asks).is_err());
    }

    #[test]
    fn without_a_burst_a_second_may_come_at_once() {
        let (buckets, _) = buckets(5, 0, 0);
        assert_eq!((0..9).filter(|_| buckets.check(client(1), Kind::Asks).is_ok()).count(), 5);
    }

    #[test]
    fn all_together_are_bounded_but_not_what_ends_load() {
        let (buckets, clock) = buckets(0, 0, 4);
        for number in 0..4 {
            assert_eq!(buckets.check(client(number), Kind::Asks), Ok(()));
        }
        let refused = buckets.check(client(9), Kind::Asks).unwrap_err();
        assert_eq!((refused.limit, refused.value), (GLOBAL, 4));
        assert_eq!(buckets.check(client(9), Kind::Relieves), Ok(()));
        clock.advance(Duration::from_millis(250));
        // It counts where there is room.
        assert_eq!(buckets.check(client(9), Kind::Relieves), Ok(()));
        assert!(buckets.check(client(9), Kind::Asks).is_err());
    }

    #[test]
    fn the_number_of_buckets_is_bounded() {
        let (mut buckets, clock) = buckets(1, 1, 0);
        buckets.clients_max = 100;
        let len = |buckets: &Buckets<FakeRelativeClock>| buckets.per_client.as_ref().unwrap().1.len();
        for number in 0..100_000 {
            let _ = buckets.check(client(number), Kind::Asks);
        }
        assert!((100..=100 + CROWD_BUCKETS as usize).contains(&len(&buckets)), "{}", len(&buckets));
        // A client of the crowd is bounded, too.
        assert!(buckets.check(client(99_999), Kind::Asks).is_err());
        // Now all buckets are full again.
        clock.advance(2 * SWEEP_INTERVAL_CROWDED);
        assert_eq!(buckets.check(client(7), Kind::Asks), Ok(()));
        assert!(len(&buckets) <= 2, "{}", len(&buckets));
    }

    #[test]
    fn who_is_refused_hears_by_which_limit_and_until_when() {
        for (millis, secs) in [(1, "1"), (1000, "1"), (1001, "2"), (0, "1")] {
            let refused = Refused { limit: GLOBAL, value: 7, wait: Duration::from_millis(millis) };
            let problem = refused.problem();
            assert!(problem.detail().contains("7 requests a second (rate-limit.global)"));
            let response = actix_web::ResponseError::error_response(&problem);
            assert_eq!(
                (response.status().as_u16(), response.headers().get("retry-after").unwrap()),
                (429, &secs.parse().unwrap())
            );
        }
    }

    #[test]
    fn what_keeps_locks_safe_is_told_from_the_rest() {
        for (method, path, kind) in [
            (Method::GET, "/healthz", Kind::Watches),
            (Method::HEAD, "/readyz", Kind::Watches),
            (Method::GET, "/metrics", Kind::Watches),
            (Method::POST, "/metrics", Kind::Asks),
            (Method::GET, "/healthz/x", Kind::Asks),
            (Method::POST, "/api/v1/locks", Kind::Asks),
            (Method::POST, "/api/v1/locks/", Kind::Asks),
            (Method::GET, "/api/v1/locks/x/renew", Kind::Asks),
            (Method::POST, "/api/v1/locks/x/renew", Kind::Relieves),
            (Method::POST, "/api/v1/locks/x/force-release", Kind::Relieves),
            (Method::POST, "/api/v1/locks/release-by-pull", Kind::Relieves),
            (Method::DELETE, "/api/v1/locks/x", Kind::Relieves),
            (Method::DELETE, "/api/v1/tickets/x", Kind::Relieves),
            (Method::GET, "/api/v1/tickets/x", Kind::Asks),
            (Method::POST, "/api/v1/lockspring/renew", Kind::Asks),
        ] {
            assert_eq!(Kind::of(&method, path), kind, "{method} {path}");
        }
    }
}
