//! Actors on a real embedded store, in this process, so that any of them can be killed.

mod absent_clients;
mod kills;
mod shared;
mod shared_commits;
mod shared_hints;
mod supervision;

use lockkeeper_actors::{AcquireRequest, Answer, Locks, Options, System, fresh_nonce};
use lockkeeper_core::{Intent, Lock, Mode, Owner, Priority, Reply, Resource, ResourceInput, Span, Standing};
use lockkeeper_store::embedded::{EmbeddedOptions, EmbeddedStore};
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

/// Runs a test on actors of its own.
fn with_system<F: Future<Output = ()>>(options: Options, test: impl FnOnce(Arc<System>) -> F) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(EmbeddedOptions::new(directory.path())).unwrap();
    actix_rt::System::new().block_on(async {
        let system = Arc::new(System::start(Arc::clone(&store) as _, options).await.unwrap());
        test(Arc::clone(&system)).await;
        if let Some(system) = Arc::into_inner(system) {
            system.stop();
        }
    });
    store.close();
}

fn resource(path: &str) -> Arc<Resource> {
    let input = ResourceInput { namespace: Some("acme/infra"), path: Some(path), ..Default::default() };
    Arc::new(Resource::parse(&input, "").unwrap())
}

/// The name of the actor of a resource.
fn queue_of(path: &str) -> String {
    format!("queue:{}", resource(path).id())
}

fn request(path: &str, owner: &str) -> AcquireRequest {
    AcquireRequest {
        resource: resource(path),
        intent: Intent {
            owner: Owner { id: owner.into(), user: None, pull: None },
            created_by: "anonymous".into(),
            mode: Mode::Exclusive,
            priority: Priority::Normal,
            ttl: Span::from_secs(600),
            protected: false,
            attended: true,
            metadata: None,
            nonce: fresh_nonce(),
            requests: Arc::default(),
        },
        reentrant: true,
        queue: true,
        queue_timeout: Span::from_secs(600),
        wait: Duration::from_secs(50),
    }
}

fn lock_of(answer: &Answer) -> Arc<Lock> {
    match &answer.outcome {
        Ok(Reply::Standing(Standing::Acquired { lock, .. })) => Arc::clone(lock),
        other => panic!("not acquired: {other:?}"),
    }
}

async fn release(locks: &Locks, path: &str, lock: &Lock) {
    let id = lockkeeper_core::EntryId { resource: resource(path).id(), seq: lock.seq };
    let released = locks.release(id, lock.token, fresh_nonce()).await.unwrap();
    let answer = released.now().expect("carried out at once");
    assert!(matches!(answer.outcome, Ok(Reply::Released { .. })), "{answer:?}");
}
