//! A door on a fresh embedded store, for the tests of this module.

use super::{Door, HttpParams, app};
use crate::audit::Audit;
use actix_web::body::BoxBody;
use actix_web::dev::{Service, ServiceResponse};
use actix_web::test::{self, TestRequest};
use actix_web::{Error, http::Method};
use lockkeeper_actors::{Locks, Options, System};
use lockkeeper_core::{ResourceId, Timestamp};
use lockkeeper_store::{
    Commit, Committed, EmbeddedOptions, EmbeddedStore, Loaded, Page, Store, StoreError, StoreFuture,
};
use parking_lot::Mutex;
use serde_json::{Value, json};
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

type Answering = Pin<Box<dyn Future<Output = Result<ServiceResponse<BoxBody>, Error>>>>;

/// An audit file that is only remembered, and fails on demand.
#[derive(Default)]
pub(super) struct TestAudit {
    lines: Mutex<Vec<Value>>,
    refuses: Mutex<bool>,
}

impl TestAudit {
    pub(super) fn refuse(&self, refuse: bool) {
        *self.refuses.lock() = refuse;
    }

    pub(super) fn lines(&self) -> Vec<Value> {
        self.lines.lock().clone()
    }
}

impl Audit for TestAudit {
    fn record(&self, entry: &str) -> io::Result<()> {
        if *self.refuses.lock() {
            return Err(io::Error::other("disk full"));
        }
        assert!(!entry.contains('\n'));
        self.lines.lock().push(serde_json::from_str(entry)?);
        Ok(())
    }
}

/// A store that fails while a test says so.
pub(super) struct TestStore {
    inner: Arc<EmbeddedStore>,
    outage: Mutex<Option<StoreError>>,
    /// Calls fail, and probes do not: the server goes on asking it.
    calls_only: AtomicBool,
}

impl TestStore {
    pub(super) fn fail(&self, error: Option<StoreError>) {
        self.calls_only.store(false, Ordering::SeqCst);
        *self.outage.lock() = error;
    }

    pub(super) fn fail_calls(&self, error: StoreError) {
        self.calls_only.store(true, Ordering::SeqCst);
        *self.outage.lock() = Some(error);
    }

    fn or<'a, T: 'a>(
        &self,
        work: StoreFuture<'a, Result<T, StoreError>>,
    ) -> StoreFuture<'a, Result<T, StoreError>> {
        match self.outage.lock().clone() {
            Some(error) => Box::pin(async { Err(error) }),
            None => work,
        }
    }
}

impl Store for TestStore {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn now(&self) -> Timestamp {
        self.inner.now()
    }

    fn load(&self, id: ResourceId) -> StoreFuture<'_, Result<Loaded, StoreError>> {
        self.or(self.inner.load(id))
    }

    fn commit(&self, commit: Commit) -> StoreFuture<'_, Result<Committed, StoreError>> {
        self.or(self.inner.commit(commit))
    }

    fn list(&self, from: Option<ResourceId>, limit: usize) -> StoreFuture<'_, Result<Page, StoreError>> {
        self.or(self.inner.list(from, limit))
    }

    fn probe(&self) -> StoreFuture<'_, Result<(), StoreError>> {
        if self.calls_only.load(Ordering::SeqCst) { self.inner.probe() } else { self.or(self.inner.probe()) }
    }
}

pub(super) struct TestDoor {
    pub(super) door: Arc<Door>,
    pub(super) audit: Arc<TestAudit>,
    pub(super) store: Arc<TestStore>,
    call: Box<dyn Fn(TestRequest) -> Answering>,
    system: Option<System>,
    _dir: tempfile::TempDir,
}

impl TestDoor {
    pub(super) async fn start() -> Self {
        Self::start_as(Options::default()).await
    }

    /// A server whose actors may be killed.
    pub(super) async fn start_with_chaos() -> Self {
        Self::start_as(Options { chaos: true, ..Options::default() }).await
    }

    async fn start_as(options: Options) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let inner = EmbeddedStore::open(EmbeddedOptions::new(dir.path())).unwrap();
        let store =
            Arc::new(TestStore { inner, outage: Mutex::default(), calls_only: AtomicBool::new(false) });
        let health_interval = Duration::from_millis(10);
        let options = Options { instance: "test".into(), health_interval, ..options };
        let system = System::start(Arc::clone(&store) as Arc<dyn Store>, options).await.unwrap();
        let audit = Arc::new(TestAudit::default());
        let params = HttpParams { version: "1.2.3", ..HttpParams::default() };
        let exporter = lockkeeper_telemetry::install().unwrap();
        let recording = Arc::clone(&audit) as Arc<dyn Audit>;
        let door = Arc::new(Door::new(system.locks().clone(), params, recording, exporter));
        let service = std::rc::Rc::new(test::init_service(app(Arc::clone(&door))).await);
        let call = move |request: TestRequest| -> Answering {
            let answering = service.call(request.to_request());
            Box::pin(answering)
        };
        Self { door, audit, store, call: Box::new(call), system: Some(system), _dir: dir }
    }

    pub(super) fn locks(&self) -> &Locks {
        self.door.locks()
    }

    pub(super) async fn send(&self, request: TestRequest) -> ServiceResponse<BoxBody> {
        (self.call)(request).await.unwrap()
    }

    async fn ask_for(&self, request: TestRequest) -> (u16, Value) {
        let response = self.send(request).await;
        let status = response.status().as_u16();
        assert!(response.headers().contains_key("x-request-id"));
        let problem =
            response.headers().get("content-type").is_some_and(|is| is == "application/problem+json");
        assert_eq!(problem, status >= 400 && problem, "{status}");
        let body = actix_web::body::to_bytes(response.into_body()).await.unwrap();
        (status, if body.is_empty() { Value::Null } else { serde_json::from_slice(&body).unwrap() })
    }

    pub(super) async fn get(&self, path: &str) -> (u16, Value) {
        self.ask_for(TestRequest::get().uri(path)).await
    }

    pub(super) async fn head(&self, path: &str) -> u16 {
        self.send(TestRequest::default().method(Method::HEAD).uri(path)).await.status().as_u16()
    }

    pub(super) async fn post(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask_for(TestRequest::post().uri(path).set_json(body)).await
    }

    pub(super) async fn put(&self, path: &str, body: &Value) -> (u16, Value) {
        self.ask_for(TestRequest::put().uri(path).set_json(body)).await
    }

    pub(super) async fn delete_keyed(&self, path: &str, key: Option<&str>) -> (u16, Value) {
        let mut request = TestRequest::delete().uri(path);
        if let Some(key) = key {
            request = request.insert_header(("idempotency-key", key));
        }
        self.ask_for(request).await
    }

    /// Opens a stream and leaves its body to be read.
    pub(super) async fn open(&self, path: &str, last_event_id: Option<&str>) -> (u16, BoxBody) {
        let mut request = TestRequest::get().uri(path);
        if let Some(id) = last_event_id {
            request = request.insert_header(("last-event-id", id));
        }
        let response = self.send(request).await;
        (response.status().as_u16(), response.into_body())
    }

    /// The body of an acquire.
    pub(super) fn ask(&self, path: &str, owner: &str) -> Value {
        json!({"resource": {"namespace": "acme/infra", "path": path}, "owner": {"id": owner}})
    }

    /// A lock.
    pub(super) async fn lock(&self, path: &str, owner: &str) -> Value {
        let (status, answer) = self.post("/api/v1/locks", &self.ask(path, owner)).await;
        assert_eq!(status, 200, "{answer}");
        answer["lock"].clone()
    }

    /// A ticket behind others.
    pub(super) async fn ticket(&self, path: &str, owner: &str) -> Value {
        let mut ask = self.ask(path, owner);
        ask["queue"] = json!(true);
        let (status, answer) = self.post("/api/v1/locks", &ask).await;
        assert_eq!((status, &answer["status"]), (202, &json!("queued")), "{answer}");
        answer["ticket"].clone()
    }

    /// Gives a lock back.
    pub(super) async fn release(&self, lock: &Value) -> Value {
        let path =
            format!("/api/v1/locks/{}?fencing_token={}", lock["id"].as_str().unwrap(), lock["fencing_token"]);
        let (status, answer) = self.delete_keyed(&path, None).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

impl Drop for TestDoor {
    fn drop(&mut self) {
        if let Some(system) = self.system.take() {
            system.stop();
        }
    }
}

/// The machine word of a refusal.
pub(super) fn code(answer: &Value) -> &str {
    answer["code"].as_str().unwrap_or_default()
}

/// The fields that a refusal names.
pub(super) fn fields_of(answer: &Value) -> Vec<String> {
    let errors = answer["errors"].as_array().into_iter().flatten();
    errors.map(|error| error["field"].as_str().unwrap_or_default().to_owned()).collect()
}
