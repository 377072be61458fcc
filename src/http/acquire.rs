//! `POST /api/v1/locks`: asks for a lock.

use super::answers;
use super::body::{self, Body, Field, Members, Shape, Text, Texts};
use super::client::Client;
use super::fields;
use super::locks::no_query;
use super::problem::{Complaints, Problem};
use super::repeats::{self, IDEMPOTENCY_KEY, Parts};
use super::{Door, HttpParams, Tunables};
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_actors::{AcquireRequest, Answer, fresh_nonce};
use lockkeeper_core::{
    Intent, Metadata, Mode, Owner, Priority, Pull, Reply, RequestRef, Resource, ResourceInput, Span, Standing,
};
use lockkeeper_telemetry::{Acquisition, metrics};
use serde::Deserialize;
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Bytes an owner's id may have.
const OWNER_ID_MAX_BYTES: usize = 512;
/// Bytes a person's or branch's name may have.
const NAME_MAX_BYTES: usize = 256;
/// Bytes a URL may have.
const URL_MAX_BYTES: usize = 2048;
/// Entries metadata may have.
const METADATA_MAX_ENTRIES: usize = 32;
/// Bytes the name of a metadata entry may have.
const METADATA_NAME_MAX_BYTES: usize = 128;
/// Bytes a metadata entry may have.
const METADATA_VALUE_MAX_BYTES: usize = 1024;
/// How many may hold a counted resource.
const COUNTED_MAX: u64 = 1000;
/// Who asks, as long as there are no tokens.
pub(super) const ANONYMOUS: &str = "anonymous";

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct AcquireBody<'a> {
    #[serde(borrow)]
    resource: Option<Members<ResourceBody<'a>>>,
    #[serde(borrow)]
    owner: Option<Members<OwnerBody<'a>>>,
    #[serde(borrow)]
    mode: Option<Text<'a>>,
    limit: Option<u64>,
    #[serde(borrow)]
    priority: Option<Text<'a>>,
    #[serde(borrow)]
    ttl: Option<Text<'a>>,
    reentrant: Option<bool>,
    protected: Option<bool>,
    queue: Option<bool>,
    #[serde(borrow)]
    queue_timeout: Option<Text<'a>>,
    #[serde(borrow)]
    wait: Option<Text<'a>>,
    attended: Option<bool>,
    #[serde(borrow)]
    metadata: Option<Texts<'a>>,
    #[serde(borrow)]
    request_id: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct ResourceBody<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Text<'a>>,
    #[serde(borrow)]
    host: Option<Text<'a>>,
    #[serde(borrow)]
    namespace: Option<Text<'a>>,
    #[serde(borrow)]
    path: Option<Text<'a>>,
    #[serde(borrow)]
    workspace: Option<Text<'a>>,
    #[serde(borrow)]
    project_name: Option<Text<'a>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct OwnerBody<'a> {
    #[serde(borrow)]
    id: Option<Text<'a>>,
    #[serde(borrow)]
    user: Option<Text<'a>>,
    #[serde(borrow)]
    pull: Option<Members<PullBody<'a>>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct PullBody<'a> {
    num: Option<u64>,
    #[serde(borrow)]
    url: Option<Text<'a>>,
    #[serde(borrow)]
    author: Option<Text<'a>>,
    #[serde(borrow)]
    head_commit: Option<Text<'a>>,
    #[serde(borrow)]
    base_branch: Option<Text<'a>>,
}

impl<'a> Body<'a> for AcquireBody<'a> {
    const FIELDS: &'static [Field] = &[
        (
            "resource",
            Shape::Object(&[
                ("type", Shape::Text),
                ("host", Shape::Text),
                ("namespace", Shape::Text),
                ("path", Shape::Text),
                ("workspace", Shape::Text),
                ("project_name", Shape::Text),
            ]),
        ),
        (
            "owner",
            Shape::Object(&[
                ("id", Shape::Text),
                ("user", Shape::Text),
                (
                    "pull",
                    Shape::Object(&[
                        ("num", Shape::Number),
                        ("url", Shape::Text),
                        ("author", Shape::Text),
                        ("head_commit", Shape::Text),
                        ("base_branch", Shape::Text),
                    ]),
                ),
            ]),
        ),
        ("mode", Shape::Text),
        ("limit", Shape::Number),
        ("priority", Shape::Text),
        ("ttl", Shape::Text),
        ("reentrant", Shape::Flag),
        ("protected", Shape::Flag),
        ("queue", Shape::Flag),
        ("queue_timeout", Shape::Text),
        ("wait", Shape::Text),
        ("attended", Shape::Flag),
        ("metadata", Shape::Texts),
        ("request_id", Shape::Text),
    ];
}

/// `POST /api/v1/locks`.
pub(super) async fn acquire(
    req: HttpRequest,
    payload: web::Payload,
    door: web::Data<Door>,
) -> Result<HttpResponse, Problem> {
    let begun = Instant::now();
    let response = carry_out(&req, payload, &door, begun).await;
    if let Err(problem) = &response {
        let code = problem.code();
        let answer = match code.word {
            "held" => Acquisition::Held,
            code => Acquisition::Refused(code),
        };
        metrics().acquisition(answer, begun.elapsed());
        match code.word {
            "queue_timeout" => {
                tracing::debug!(code = code.word, detail = problem.detail(), "lock acquisition timeout")
            }
            // Failures of the server are told of where all of them are.
            _ if code.status < 500 => {
                tracing::debug!(code = code.word, detail = problem.detail(), "failed to acquire lock");
            }
            _ => {}
        }
    }
    response
}

async fn carry_out(
    req: &HttpRequest,
    payload: web::Payload,
    door: &Door,
    begun: Instant,
) -> Result<HttpResponse, Problem> {
    let bytes = body::read(req, payload).await?;
    no_query(req)?;
    let mut complaints = Complaints::default();
    let header = repeats::header(req, &mut complaints);
    let request = parse(&bytes, header, &door.params, &door.tunables(), complaints)?;
    let id = request.resource.id();
    let client = Client::asking(req);
    let _waiting = door.waits(client, request.wait)?;
    let asked = door.asks(client, &request)?;
    door.count_operation();
    let answer = door.locks.acquire(request).await.map_err(|failure| answers::failure(&failure))?;
    if let Some(asked) = asked {
        asked.settle(&answer);
    }
    if let Some(told) = told(&answer) {
        let elapsed = begun.elapsed();
        metrics().acquisition(told, elapsed);
        if told == Acquisition::Acquired {
            tracing::debug!(resource = %id, "lock acquired in {}ms", elapsed.as_millis());
        }
    }
    answers::standing(id, &answer)
}

fn told(answer: &Answer) -> Option<Acquisition> {
    match &answer.outcome {
        Ok(Reply::Standing(Standing::Acquired { reentrant: true, .. })) => Some(Acquisition::Reentrant),
        Ok(Reply::Standing(Standing::Acquired { .. })) => Some(Acquisition::Acquired),
        Ok(Reply::Standing(Standing::Queued { .. })) => Some(Acquisition::Queued),
        // Refusals are counted with their code.
        _ => None,
    }
}

/// Reads and checks the whole request.
fn parse(
    bytes: &[u8],
    header: Option<&str>,
    params: &HttpParams,
    tunables: &Tunables,
    mut complaints: Complaints,
) -> Result<AcquireRequest, Problem> {
    let mut spare = Vec::new();
    let body: AcquireBody<'_> = body::decode(bytes, &mut spare, &mut complaints)?;
    let c = &mut complaints;

    let resource = resource(&body.resource.map(|it| it.0).unwrap_or_default(), params, c);
    let owner = owner(&body.owner.map(|it| it.0).unwrap_or_default(), c);
    let mode = mode(body.mode.as_deref(), body.limit, c);
    let priority = match body.priority.as_deref() {
        None => Priority::default(),
        Some(word) => Priority::from_word(word).unwrap_or_else(|| {
            c.add("priority", "must be one of critical, high, normal, low");
            Priority::default()
        }),
    };
    let ttl = match body.ttl.as_deref() {
        None => tunables.default_ttl,
        Some(text) => fields::ttl(c, text, tunables.max_ttl).unwrap_or_default(),
    };
    let queue = body.queue.unwrap_or(false);
    let queue_timeout = match body.queue_timeout.as_deref() {
        None => tunables.queue_default_timeout,
        Some(text) => fields::queue_timeout(c, text).unwrap_or_default(),
    };
    let wait = body.wait.as_deref().and_then(|text| fields::wait(c, text)).unwrap_or_default();
    if !wait.is_zero() && !queue {
        c.add("wait", "needs \"queue\": true; without it an answer comes at once");
    }
    let metadata = metadata(body.metadata.unwrap_or_default(), c);
    if let Some(request_id) = body.request_id.as_deref() {
        fields::request_id(c, "request_id", request_id);
        if header.is_some_and(|header| header != request_id) {
            c.add("request_id", format!("differs from the header {IDEMPOTENCY_KEY}; give one of them"));
        }
    }
    let request_id = body.request_id.as_deref().or(header);

    let mut intent = Intent {
        owner,
        created_by: ANONYMOUS.into(),
        mode,
        priority,
        ttl,
        protected: body.protected.unwrap_or(false),
        attended: body.attended.unwrap_or(true),
        metadata,
        nonce: fresh_nonce(),
        requests: Arc::default(),
    };
    let reentrant = body.reentrant.unwrap_or(true);
    if let Some(request_id) = request_id {
        let key = repeats::key("acquire", &intent.owner.id, request_id);
        let digest = digest(&intent, reentrant, queue, queue_timeout);
        intent.requests = Arc::new(vec![RequestRef { key, digest }]);
    }
    complaints.check()?;
    let resource = resource.ok_or_else(|| Problem::internal("a resource was refused without a reason"))?;
    let wait: Duration = wait.to_std().min(tunables.max_wait);
    Ok(AcquireRequest { resource: Arc::new(resource), intent, reentrant, queue, queue_timeout, wait })
}

fn resource(body: &ResourceBody<'_>, params: &HttpParams, c: &mut Complaints) -> Option<Resource> {
    let input = ResourceInput {
        kind: body.kind.as_deref(),
        host: body.host.as_deref(),
        namespace: body.namespace.as_deref(),
        path: body.path.as_deref(),
        workspace: body.workspace.as_deref(),
        project_name: body.project_name.as_deref(),
    };
    Resource::parse(&input, &params.default_host)
        .map_err(|errors| {
            for error in errors {
                c.add(format!("resource.{}", error.field), error.message);
            }
        })
        .ok()
}

fn owner(body: &OwnerBody<'_>, c: &mut Complaints) -> Owner {
    let id = body.id.as_deref().unwrap_or_default();
    fields::text(c, "owner.id", id, OWNER_ID_MAX_BYTES, true);
    let user = optional(c, "owner.user", &body.user, NAME_MAX_BYTES);
    let pull = body.pull.as_ref().map(|Members(pull)| {
        let num = match pull.num {
            Some(num) => fields::number(c, "owner.pull.num", num, 1..=fields::INTEGER_MAX),
            None => {
                c.add("owner.pull.num", "is required");
                None
            }
        };
        let url = optional(c, "owner.pull.url", &pull.url, URL_MAX_BYTES);
        Box::new(Pull {
            num: num.unwrap_or_default(),
            // Whoever may list locks must not learn anyone's token.
            url: url.map(|url| fields::without_credentials(&url).into()),
            author: optional(c, "owner.pull.author", &pull.author, NAME_MAX_BYTES),
            head_commit: optional(c, "owner.pull.head_commit", &pull.head_commit, NAME_MAX_BYTES),
            base_branch: optional(c, "owner.pull.base_branch", &pull.base_branch, NAME_MAX_BYTES),
        })
    });
    Owner { id: id.into(), user, pull }
}

/// An empty text says as little as an absent one.
fn optional(
    c: &mut Complaints,
    field: &'static str,
    value: &Option<Text<'_>>,
    max: usize,
) -> Option<Box<str>> {
    let value = value.as_deref().filter(|value| !value.is_empty())?;
    fields::text(c, field, value, max, false);
    Some(value.into())
}

fn mode(word: Option<&str>, limit: Option<u64>, c: &mut Complaints) -> Mode {
    let alone = |mode: Mode, c: &mut Complaints| {
        if limit.is_some_and(|limit| limit != 1) {
            c.add("limit", "is for mode counted; leave it out");
        }
        mode
    };
    match word.unwrap_or("exclusive") {
        "exclusive" => alone(Mode::Exclusive, c),
        "shared" => alone(Mode::Shared, c),
        "counted" => {
            let limit = match limit {
                Some(limit) => fields::number(c, "limit", limit, 1..=COUNTED_MAX),
                None => {
                    c.add("limit", "is required with mode counted");
                    None
                }
            };
            Mode::Counted { limit: limit.and_then(|limit| u16::try_from(limit).ok()).unwrap_or(1) }
        }
        _ => {
            c.add("mode", "must be one of exclusive, shared, counted");
            Mode::Exclusive
        }
    }
}

fn metadata(texts: Texts<'_>, c: &mut Complaints) -> Option<Box<Metadata>> {
    let texts = texts.0;
    if texts.len() > METADATA_MAX_ENTRIES {
        c.add("metadata", format!("has {} entries; at most {METADATA_MAX_ENTRIES} are allowed", texts.len()));
        return None;
    }
    for (name, value) in &texts {
        let field = || format!("metadata.{}", &**name);
        if name.is_empty() {
            c.add(field(), "has an empty name");
        }
        if name.len() > METADATA_NAME_MAX_BYTES || name.chars().any(char::is_control) {
            c.add(
                field(),
                format!(
                    "must have a name of at most {METADATA_NAME_MAX_BYTES} bytes without control characters"
                ),
            );
        }
        if value.len() > METADATA_VALUE_MAX_BYTES || value.chars().any(char::is_control) {
            c.add(
                field(),
                format!("must have at most {METADATA_VALUE_MAX_BYTES} bytes and no control characters"),
            );
        }
    }
    let metadata: Metadata =
        texts.into_iter().map(|(name, value)| ((*name).into(), (*value).into())).collect();
    (!metadata.is_empty()).then(|| Box::new(metadata))
}

/// What makes two requests the same. `wait` does not: a repetition may wait differently.
fn digest(intent: &Intent, reentrant: bool, queue: bool, queue_timeout: Span) -> u64 {
    let mut parts = Parts::new();
    let owner = &intent.owner;
    parts.text(&owner.id);
    parts.optional(owner.user.as_deref());
    parts.number(owner.pull.as_ref().map_or(0, |pull| pull.num));
    if let Some(pull) = &owner.pull {
        for text in [&pull.url, &pull.author, &pull.head_commit, &pull.base_branch] {
            parts.optional(text.as_deref());
        }
    }
    parts.text(intent.mode.as_str());
    parts.number(match intent.mode {
        Mode::Counted { limit } => u64::from(limit),
        Mode::Exclusive | Mode::Shared => 1,
    });
    parts.text(intent.priority.as_str());
    parts.number(intent.ttl.as_micros());
    parts.number(queue_timeout.as_micros());
    for flag in [reentrant, queue, intent.protected, intent.attended] {
        parts.number(u64::from(flag));
    }
    for (name, value) in intent.metadata.iter().flat_map(|metadata| metadata.iter()) {
        parts.text(name);
        parts.text(value);
    }
    parts.one()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn tunables() -> Tunables {
        Tunables { max_ttl: Span::from_secs(48 * 3600), ..Tunables::default() }
    }

    fn read(body: &Value, header: Option<&str>) -> Result<AcquireRequest, Vec<String>> {
        let params = HttpParams::default();
        let read = parse(body.to_string().as_bytes(), header, &params, &tunables(), Complaints::default());
        read.map_err(|problem| {
            assert_eq!(problem.code().word, "invalid_request");
            problem.errors().iter().map(|error| error.field.to_string()).collect()
        })
    }

    /// A good request with one member replaced.
    fn with(pointer: &str, value: Value) -> Value {
        let mut body = json!({
            "resource": {"namespace": "acme/infra"},
            "owner": {"id": "acme/infra#42", "pull": {"num": 42}},
        });
        let (parent, name) = pointer.rsplit_once('/').unwrap();
        let parent = body.pointer_mut(parent).unwrap().as_object_mut().unwrap();
        parent.insert(name.into(), value);
        body
    }

    #[test]
    fn the_whole_body_is_taken() {
        let body = json!({
            "resource": {"type": "custom", "host": "git.example.com", "namespace": "acme/infra", "path": "./net//vpc",
                         "workspace": "production", "project_name": "p"},
            "owner": {"id": "acme/infra#42", "user": "alice", "pull": {"num": 42,
                      "url": "https://u:secret@git.example.com/acme/infra/pull/42", "author": "bob",
                      "head_commit": "abc", "base_branch": "main"}},
            "mode": "counted", "limit": 3, "priority": "critical", "ttl": "0s", "reentrant": false,
            "protected": true, "queue": true, "queue_timeout": "1h", "wait": "55s", "attended": false,
            "metadata": {"run": "123"}, "request_id": "r-1",
        });
        let request = read(&body, Some("r-1")).unwrap();
        assert_eq!(request.resource.key(), "acme/infra/net/vpc/production/p");
        let intent = request.intent;
        let pull = intent.owner.pull.unwrap();
        assert_eq!(pull.url.as_deref(), Some("https://git.example.com/acme/infra/pull/42"));
        assert_eq!((intent.mode, intent.priority), (Mode::Counted { limit: 3 }, Priority::Critical));
        assert_eq!((intent.ttl, intent.protected, intent.attended), (Span::ZERO, true, false));
        assert_eq!((request.reentrant, request.queue), (false, true));
        assert_eq!(request.queue_timeout, Span::from_secs(3600));
        // Above the configured maximum it is shortened, not refused.
        assert_eq!(request.wait, tunables().max_wait);
        assert_eq!((&*intent.created_by, intent.requests.len()), (ANONYMOUS, 1));
    }

    #[test]
    fn what_is_left_out_takes_its_default() {
        let body = json!({"resource": {"namespace": "a"}, "owner": {"id": "x", "user": "", "pull": null}, "limit": 1});
        let request = read(&body, None).unwrap();
        assert_eq!(request.resource.key(), "a/./default/");
        let intent = request.intent;
        assert_eq!(
            (intent.mode, intent.priority, intent.ttl),
            (Mode::Exclusive, Priority::Normal, tunables().default_ttl)
        );
        assert_eq!(
            (intent.attended, intent.protected, request.reentrant, request.queue),
            (true, false, true, false)
        );
        assert_eq!((request.queue_timeout, request.wait), (tunables().queue_default_timeout, Duration::ZERO));
        assert_eq!((intent.owner.user, intent.owner.pull, intent.metadata), (None, None, None));
        assert!(intent.requests.is_empty() && intent.nonce != 0);
    }

    #[test]
    fn every_bad_value_names_its_field() {
        let long = |bytes: usize| Value::from("x".repeat(bytes));
        let entries: serde_json::Map<String, Value> = (0..33).map(|n| (n.to_string(), "x".into())).collect();
        for (pointer, value, field) in [
            ("/resource", json!(null), "resource.namespace"),
            ("/resource", json!("acme/infra"), "resource"),
            ("/resource/namespace", json!(""), "resource.namespace"),
            ("/resource/namespace", json!(7), "resource.namespace"),
            ("/resource/namespace", long(513), "resource.namespace"),
            ("/resource/type", json!("Project"), "resource.type"),
            ("/resource/host", long(257), "resource.host"),
            ("/resource/path", json!("/abs"), "resource.path"),
            ("/resource/path", json!("a/../b"), "resource.path"),
            ("/resource/path", json!("a\u{7}"), "resource.path"),
            ("/resource/path", long(1025), "resource.path"),
            ("/resource/workspace", json!(""), "resource.workspace"),
            ("/resource/project_name", long(257), "resource.project_name"),
            ("/resource/id", json!("x"), "resource.id"),
            ("/owner", json!(null), "owner.id"),
            ("/owner/id", json!(""), "owner.id"),
            ("/owner/id", json!("a\nb"), "owner.id"),
            ("/owner/id", long(513), "owner.id"),
            ("/owner/user", long(257), "owner.user"),
            ("/owner/pull", json!({}), "owner.pull.num"),
            ("/owner/pull", json!(42), "owner.pull"),
            ("/owner/pull", json!([42]), "owner.pull"),
            ("/owner", json!(["acme/infra#42"]), "owner"),
            ("/resource", json!([null, null, "acme/infra"]), "resource"),
            ("/owner/pull/num", json!(0), "owner.pull.num"),
            ("/owner/pull/num", json!(-1), "owner.pull.num"),
            ("/owner/pull/num", json!(1.5), "owner.pull.num"),
            ("/owner/pull/num", json!("42"), "owner.pull.num"),
            ("/owner/pull/num", json!(1_u64 << 53), "owner.pull.num"),
            ("/owner/pull/url", long(2049), "owner.pull.url"),
            ("/owner/pull/author", long(257), "owner.pull.author"),
            ("/owner/pull/head_commit", json!("\u{0}"), "owner.pull.head_commit"),
            ("/owner/pull/base_branch", long(257), "owner.pull.base_branch"),
            ("/mode", json!("semaphore"), "mode"),
            ("/limit", json!(2), "limit"),
            ("/limit", json!(0), "limit"),
            ("/mode", json!("counted"), "limit"),
            ("/priority", json!("urgent"), "priority"),
            ("/priority", json!(1), "priority"),
            ("/ttl", json!("99ms"), "ttl"),
            ("/ttl", json!("48h1s"), "ttl"),
            ("/ttl", json!("1d"), "ttl"),
            ("/ttl", json!("1M"), "ttl"),
            ("/ttl", json!(""), "ttl"),
            ("/ttl", json!("30"), "ttl"),
            ("/ttl", json!(30), "ttl"),
            ("/ttl", json!("-1s"), "ttl"),
            ("/reentrant", json!("true"), "reentrant"),
            ("/protected", json!(1), "protected"),
            ("/queue", json!("yes"), "queue"),
            ("/queue_timeout", json!("0s"), "queue_timeout"),
            ("/queue_timeout", json!("168h1s"), "queue_timeout"),
            ("/wait", json!("1s"), "wait"),
            ("/wait", json!("61s"), "wait"),
            ("/attended", json!("no"), "attended"),
            ("/metadata", json!(["a"]), "metadata"),
            ("/metadata", json!({"a": 1}), "metadata.a"),
            ("/metadata", Value::Object(entries), "metadata"),
            ("/metadata", json!({"a": "x".repeat(1025)}), "metadata.a"),
            ("/metadata", json!({"a": "\u{1b}"}), "metadata.a"),
            ("/metadata", json!({"": "x"}), "metadata."),
            ("/request_id", json!(""), "request_id"),
            ("/request_id", long(129), "request_id"),
            ("/request_id", json!("a\tb"), "request_id"),
            ("/request_id", json!("other"), "request_id"),
            ("/created_by", json!("me"), "created_by"),
            ("/fencing_token", json!(1), "fencing_token"),
        ] {
            let body = with(pointer, value.clone());
            assert_eq!(read(&body, Some("key")).unwrap_err(), [field], "{pointer} = {value}");
        }
    }

    #[test]
    fn everything_wrong_is_told_at_once() {
        let body = json!({"resource": {"path": ".."}, "owner": {"pull": {"num": "x"}}, "ttl": "1d", "wait": "1h",
                          "queue": 1, "nonsense": true});
        let mut named = read(&body, None).unwrap_err();
        named.sort_unstable();
        let expected = [
            "nonsense",
            "owner.id",
            "owner.pull.num",
            "queue",
            "resource.namespace",
            "resource.path",
            "ttl",
            "wait",
        ];
        assert_eq!(named, expected);
    }

    #[test]
    fn a_repetition_may_only_wait_differently() {
        let digest_of = |pointer: &str, value: Value| {
            let mut body = with("/queue", json!(true));
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            body.pointer_mut(parent).unwrap().as_object_mut().unwrap().insert(name.into(), value);
            read(&body, Some("k")).unwrap().intent.requests[0]
        };
        let first = digest_of("/wait", json!("0s"));
        assert_eq!(digest_of("/wait", json!("10s")), first);
        assert_eq!(digest_of("/priority", json!("normal")), first);
        for (pointer, value) in [
            ("/ttl", json!("1m")),
            ("/priority", json!("high")),
            ("/mode", json!("shared")),
            ("/queue", json!(false)),
            ("/queue_timeout", json!("1m")),
            ("/reentrant", json!(false)),
            ("/protected", json!(true)),
            ("/attended", json!(false)),
            ("/metadata", json!({"a": "b"})),
            ("/owner/user", json!("bob")),
            ("/owner/pull/num", json!(43)),
            ("/owner/pull/author", json!("bob")),
        ] {
            let other = digest_of(pointer, value);
            assert_eq!(other.key, first.key, "{pointer}");
            assert_ne!(other.digest, first.digest, "{pointer}");
        }
        assert_ne!(digest_of("/owner/id", json!("other")).key, first.key);
    }
}
