//! Two instances' actors on one Redis, in this process, with faults at exact points between them and
//! their store.

use crate::redis::open_all;
use lockkeeper_actors::{Locks, Options, System};
use lockkeeper_core::{Document, Span, Timestamp};
use lockkeeper_store::faulty::FaultyStore;
use lockkeeper_store::redis::{RedisOptions, RedisStore};
use lockkeeper_store::testing::RedisServer;
use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

/// A commit whose time is more off than this is refused as late.
pub(super) const WINDOW: Duration = Duration::from_millis(500);

/// One instance.
#[derive(Clone)]
pub(super) struct Side {
    pub(super) store: Arc<FaultyStore<RedisStore>>,
    pub(super) system: Arc<System>,
}

impl Deref for Side {
    type Target = Locks;

    fn deref(&self) -> &Locks {
        self.system.locks()
    }
}

impl Side {
    /// Its view of a resource of `acme/infra`.
    pub(super) fn sees(&self, path: &str) -> Option<Arc<Document>> {
        self.view().get(super::resource(path).id()).filter(|document| document.is_live())
    }

    /// Waits until its view has a lock of the resource, or none.
    pub(super) async fn comes_to_see(&self, path: &str, held: bool) {
        crate::support::eventually("a view that follows", async || {
            let holds = self.sees(path).is_some_and(|document| document.locks().next().is_some());
            (holds == held).then_some(())
        })
        .await;
    }

    /// Waits until the store's clock has gone on by so much.
    pub(super) async fn passes(&self, span: Span) -> Timestamp {
        let until = self.now() + span;
        crate::support::eventually("time", async || (self.now() > until).then(|| self.now())).await
    }
}

/// Options with which waiting is short.
pub(super) fn options(instance: &str) -> Options {
    let mut options = Options {
        instance: instance.into(),
        health_interval: Duration::from_millis(100),
        sweep_interval: Duration::from_millis(100),
        settle_window: Duration::from_millis(700),
        ..Options::default()
    };
    options.rules.lease_grace = Span::from_micros(2 * WINDOW.as_micros() as u64);
    options
}

/// Where a side's Redis is, and how far its own clocks are off.
pub(super) struct Place {
    pub(super) url: String,
    pub(super) skew_micros: i64,
    pub(super) options: Options,
}

async fn side(place: Place) -> Side {
    let options =
        RedisOptions { timeout: Duration::from_secs(2), time_window: WINDOW, ..RedisOptions::new(place.url) };
    let store = Arc::new(FaultyStore::new(RedisStore::with_clock_skew(options, place.skew_micros).unwrap()));
    let system = Arc::new(System::start(Arc::clone(&store) as _, place.options).await.unwrap());
    let side = Side { store, system };
    crate::support::eventually("an instance that follows", async || {
        let replica = side.replica()?;
        (side.health().healthy && replica.unread == 0 && replica.sealed == 0).then_some(())
    })
    .await;
    side
}

/// Runs a test on two instances at these places of a Redis whose partitions are open.
pub(super) fn with_two_at<F: Future<Output = ()>>(
    places: impl FnOnce(&RedisServer) -> [Place; 2],
    test: impl FnOnce(Side, Side) -> F,
) {
    let redis = RedisServer::start();
    actix_rt::System::new().block_on(async {
        open_all(&redis).await;
        let [one, other] = places(&redis);
        let (one, other) = (side(one).await, side(other).await);
        // What was missed before the subscription was there is compared by now, or will be: from here
        // on both hear each other.
        crate::support::eventually("subscriptions", async || {
            (redis.cli(&["CLIENT", "LIST", "TYPE", "pubsub"]).lines().count() == 2).then_some(())
        })
        .await;
        test(one.clone(), other.clone()).await;
        for Side { system, .. } in [one, other] {
            if let Some(system) = Arc::into_inner(system) {
                system.stop();
            }
        }
    });
}

/// Runs a test on two instances beside a Redis.
pub(super) fn with_two<F: Future<Output = ()>>(test: impl FnOnce(Side, Side) -> F) {
    with_two_at(
        |redis| {
            ["one", "other"].map(|name| Place { url: redis.url(), skew_micros: 0, options: options(name) })
        },
        test,
    );
}
