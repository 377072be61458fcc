//! Reading a JSON body: bounded, drained when refused, decoded once; if that fails, looked through
//! slowly so that everything wrong with it is named with its full path.

use super::Door;
use super::problem::{
    Complaints, INVALID_REQUEST, PAYLOAD_TOO_LARGE, Problem, REQUEST_TIMEOUT, UNSUPPORTED_MEDIA_TYPE,
};
use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap};
use actix_web::web::Payload;
use bytes::{Bytes, BytesMut};
use futures_util::{FutureExt, StreamExt};
use lockkeeper_telemetry::metrics;
use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserialize, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::Value;
use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use tokio::time::Instant;

/// Bytes a body may have.
pub(super) const BODY_MAX_BYTES: usize = 64 * 1024;
/// Bytes of a refused body that are read and thrown away, so that a client that sends first and
/// reads later gets its answer.
pub(super) const DRAIN_MAX_BYTES: usize = 16 * 1024 * 1024;

/// Reads a JSON body's bytes.
pub(super) async fn read(req: &HttpRequest, mut payload: Payload) -> Result<Bytes, Problem> {
    let by = deadline(req);
    if !is_json(req.headers()) {
        let given = req.headers().get(CONTENT_TYPE);
        // Nothing at all was sent: that is rather a body that is missing.
        if given.is_some() || !is_empty(&mut payload, by).await {
            let closing = !drain(&mut payload, 0, by).await;
            let problem = Problem::new(
                &UNSUPPORTED_MEDIA_TYPE,
                match given.and_then(|value| value.to_str().ok()) {
                    Some(given) => format!("the body's content type is {given:?}, not application/json"),
                    None => "the body has no content type; it must be application/json".to_owned(),
                },
            );
            return Err(if closing { problem.closing() } else { problem });
        }
        return Err(malformed("a JSON body is required".into()));
    }
    if let Some(encoding) = encoding(req.headers()) {
        let closing = !drain(&mut payload, 0, by).await;
        let detail = format!("the body's content encoding is {encoding:?}; only identity is read");
        let problem = Problem::new(&UNSUPPORTED_MEDIA_TYPE, detail);
        return Err(if closing { problem.closing() } else { problem });
    }
    let announced = req.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if announced.is_some_and(|length: u64| length > BODY_MAX_BYTES as u64) {
        return Err(too_large(&mut payload, 0, by).await);
    }
    let mut whole = BytesMut::new();
    // Most bodies come in one piece, which then need not be copied.
    let Some(first) = next(&mut payload, by).await? else { return Ok(Bytes::new()) };
    let mut only = Some(first);
    while let Some(chunk) = next(&mut payload, by).await? {
        if let Some(first) = only.take() {
            whole.extend_from_slice(&first);
        }
        if whole.len() + chunk.len() > BODY_MAX_BYTES {
            return Err(too_large(&mut payload, whole.len() + chunk.len(), by).await);
        }
        whole.extend_from_slice(&chunk);
    }
    match only {
        Some(first) if first.len() > BODY_MAX_BYTES => Err(too_large(&mut payload, first.len(), by).await),
        Some(first) => Ok(first),
        None => Ok(whole.freeze()),
    }
}

async fn next(payload: &mut Payload, by: Instant) -> Result<Option<Bytes>, Problem> {
    let chunk = match payload.next().now_or_never() {
        Some(chunk) => chunk,
        None => tokio::time::timeout_at(by, payload.next()).await.map_err(|_| {
            metrics().slow_client("body");
            let detail = "the body did not arrive within the time that one may take (http.body-timeout)";
            Problem::new(&REQUEST_TIMEOUT, detail).closing()
        })?,
    };
    chunk.transpose().map_err(|error| malformed(format!("the body cannot be read: {error}")).closing())
}

async fn is_empty(payload: &mut Payload, by: Instant) -> bool {
    loop {
        match next(payload, by).await {
            Ok(None) => return true,
            Ok(Some(chunk)) if chunk.is_empty() => {}
            _ => return false,
        }
    }
}

async fn too_large(payload: &mut Payload, read: usize, by: Instant) -> Problem {
    let problem = Problem::new(&PAYLOAD_TOO_LARGE, format!("the body has more than {BODY_MAX_BYTES} bytes"));
    if drain(payload, read, by).await { problem } else { problem.closing() }
}

/// By when a body that begins now must be there.
pub(super) fn deadline(req: &HttpRequest) -> Instant {
    let door = req.app_data::<actix_web::web::Data<Door>>();
    door.map_or_else(Instant::now, |door| door.body_deadline())
}

/// Reads the rest of a body and forgets it. False when it was not all.
pub(super) async fn drain(payload: &mut Payload, mut read: usize, by: Instant) -> bool {
    while read <= DRAIN_MAX_BYTES {
        match next(payload, by).await {
            Ok(Some(chunk)) => read += chunk.len(),
            Ok(None) => return true,
            Err(_) => return false,
        }
    }
    false
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()) else { return false };
    let mut parts = value.split(';');
    let essence = parts.next().unwrap_or_default().trim();
    // JSON is UTF-8; another charset would be read wrongly.
    let utf8 = parts.all(|part| match part.trim().split_once('=') {
        Some((name, charset)) if name.eq_ignore_ascii_case("charset") => {
            charset.trim_matches('"').eq_ignore_ascii_case("utf-8")
        }
        _ => true,
    });
    essence.eq_ignore_ascii_case("application/json") && utf8
}

/// The content encodings of a body that is not sent as it is; the header may come several times.
fn encoding(headers: &HeaderMap) -> Option<String> {
    let given = headers.get_all(CONTENT_ENCODING).map(|value| String::from_utf8_lossy(value.as_bytes()));
    let all = given.collect::<Vec<_>>().join(", ");
    let is_plain = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    (!all.split(',').map(str::trim).all(is_plain)).then_some(all)
}

fn malformed(detail: String) -> Problem {
    Problem::new(&INVALID_REQUEST, detail)
}

/// What kind of value a field takes.
#[derive(Clone, Copy, Debug)]
pub(super) enum Shape {
    Text,
    Flag,
    Number,
    /// An object whose members are all texts.
    Texts,
    /// An object with any members; whoever takes it knows what they may be.
    Members,
    Object(&'static [Field]),
}

/// A field of a body.
pub(super) type Field = (&'static str, Shape);

/// A body that can be decoded. Every field of it is optional to the decoder: what is missing is
/// complained about together with everything else.
pub(super) trait Body<'a>: Deserialize<'a> {
    /// Its fields, for telling what is wrong when it cannot be decoded.
    const FIELDS: &'static [Field];
}

/// Decodes a body. What is wrong with its form is complained about, and left out of what is
/// returned, so that the rest can be checked too. `spare` holds the body without those parts.
pub(super) fn decode<'a, T: Body<'a>>(
    bytes: &'a [u8],
    spare: &'a mut Vec<u8>,
    complaints: &mut Complaints,
) -> Result<T, Problem> {
    let error = match serde_json::from_slice::<Members<T>>(bytes) {
        Ok(Members(body)) => return Ok(body),
        Err(error) => error,
    };
    let mut value: Value =
        serde_json::from_slice(bytes).map_err(|error| malformed(format!("the body is not JSON: {error}")))?;
    if !value.is_object() {
        return Err(malformed("the body must be a JSON object".into()));
    }
    prune(&mut value, T::FIELDS, "", complaints);
    if complaints.is_empty() {
        // Something that the generic reader takes and this body does not: a field given twice.
        return Err(match duplicate(&error.to_string()) {
            Some(name) => Problem::field(name, "is given more than once"),
            None => malformed(format!("the body cannot be read: {error}")),
        });
    }
    *spare = value.to_string().into_bytes();
    serde_json::from_slice(spare).map_err(|error| Problem::internal(format!("a pruned body: {error}")))
}

fn duplicate(error: &str) -> Option<String> {
    let rest = error.strip_prefix("duplicate field `")?;
    rest.split('`').next().map(str::to_owned)
}

/// Complains about every member that does not have its shape, and takes it out.
fn prune(value: &mut Value, fields: &[Field], path: &str, complaints: &mut Complaints) {
    let Value::Object(members) = value else { return };
    let mut wrong = Vec::new();
    for (name, member) in members.iter_mut() {
        let full = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        let Some((_, shape)) = fields.iter().find(|(known, _)| known == name) else {
            let known: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            complaints.add(full, format!("is not a field of this request; known: {}", known.join(", ")));
            wrong.push(name.clone());
            continue;
        };
        let expected = match (shape, &mut *member) {
            (_, Value::Null) | (Shape::Text, Value::String(_)) | (Shape::Flag, Value::Bool(_)) => continue,
            (Shape::Number, Value::Number(number)) if number.is_u64() => continue,
            (Shape::Members, Value::Object(_)) => continue,
            (Shape::Object(fields), Value::Object(_)) => {
                prune(member, fields, &full, complaints);
                continue;
            }
            (Shape::Texts, Value::Object(texts)) => {
                texts.retain(|name, text| {
                    if !text.is_string() {
                        complaints.add(format!("{full}.{name}"), "must be a string");
                    }
                    text.is_string()
                });
                continue;
            }
            (Shape::Text, _) => "must be a string",
            (Shape::Flag, _) => "must be true or false",
            (Shape::Number, _) => "must be a whole number, not negative",
            (Shape::Texts, _) => "must be an object with strings",
            (Shape::Object(_) | Shape::Members, _) => "must be an object",
        };
        complaints.add(full, expected);
        wrong.push(name.clone());
    }
    for name in wrong {
        members.remove(&name);
    }
}

/// An object, and nothing else: serde's own derivations take lists in the order of the fields too.
#[derive(Debug)]
pub(super) struct Members<T>(pub(super) T);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Members<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for MembersVisitor<T> {
            type Value = Members<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Members<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Members)
            }
        }
        deserializer.deserialize_map(MembersVisitor(PhantomData))
    }
}

/// A string of a body, borrowed where it has no escapes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Text<'a>(Cow<'a, str>);

impl Deref for Text<'_> {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextVisitor;
        impl<'de> Visitor<'de> for TextVisitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a string")
            }

            fn visit_borrowed_str<E>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(text.into()))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(text.to_owned().into()))
            }
        }
        deserializer.deserialize_str(TextVisitor)
    }
}

/// An object with strings, in its order; none of its names comes twice.
#[derive(Clone, Debug, Default)]
pub(super) struct Texts<'a>(pub(super) Vec<(Text<'a>, Text<'a>)>);

impl<'de: 'a, 'a> Deserialize<'de> for Texts<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct TextsVisitor;
        impl<'de> Visitor<'de> for TextsVisitor {
            type Value = Texts<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object with strings")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Texts<'de>, A::Error> {
                let mut texts: Vec<(Text<'de>, Text<'de>)> = Vec::new();
                let mut names = std::collections::HashSet::new();
                while let Some((name, value)) = map.next_entry::<Text<'de>, Text<'de>>()? {
                    if !names.insert(name.to_string()) {
                        return Err(A::Error::custom(format_args!("duplicate field `{}`", &*name)));
                    }
                    texts.push((name, value));
                }
                Ok(Texts(texts))
            }
        }
        deserializer.deserialize_map(TextsVisitor)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Deserialize, Debug, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Sample<'a> {
        #[serde(borrow)]
        name: Option<Text<'a>>,
        count: Option<u64>,
        sure: Option<bool>,
        #[serde(borrow)]
        notes: Option<Texts<'a>>,
        #[serde(borrow)]
        inner: Option<Members<Inner<'a>>>,
    }

    #[derive(Deserialize, Debug, Default)]
    #[serde(deny_unknown_fields, default)]
    struct Inner<'a> {
        #[serde(borrow)]
        id: Option<Text<'a>>,
    }

    impl<'a> Body<'a> for Sample<'a> {
        const FIELDS: &'static [Field] = &[
            ("name", Shape::Text),
            ("count", Shape::Number),
            ("sure", Shape::Flag),
            ("notes", Shape::Texts),
            ("inner", Shape::Object(&[("id", Shape::Text)])),
        ];
    }

    fn fields_of(text: &str) -> Vec<String> {
        let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
        let decoded = decode::<Sample<'_>>(text.as_bytes(), &mut spare, &mut complaints).map(|_| ());
        match decoded.and(complaints.check()) {
            Ok(()) => Vec::new(),
            Err(problem) if problem.errors().is_empty() => vec![format!("{}", problem.detail())],
            Err(problem) => problem.errors().iter().map(|error| error.field.to_string()).collect(),
        }
    }

    #[test]
    fn strings_are_borrowed_and_decoded() {
        let (mut spare, mut complaints) = (Vec::new(), Complaints::default());
        let text = br#"{"name": "a\nb", "notes": {"k": "v"}, "inner": {"id": "x"}, "count": null}"#;
        let sample: Sample<'_> = decode(text, &mut spare, &mut complaints).unwrap();
        assert_eq!(sample.name.as_deref(), Some("a\nb"));
        let inner = sample.inner.unwrap().0;
        assert!(matches!(&inner.id, Some(Text(Cow::Borrowed("x")))));
        assert_eq!((sample.count, sample.sure, sample.notes.unwrap().0.len()), (None, None, 1));
    }

    #[test]
    fn everything_wrong_is_named_with_its_path() {
        let text = r#"{"name": 1, "count": -1, "sure": "yes", "notes": {"a": 1, "b": "x", "c": null},
                       "inner": {"id": [], "num": 2}, "more": 1}"#;
        assert_eq!(
            fields_of(text),
            ["count", "inner.id", "inner.num", "more", "name", "notes.a", "notes.c", "sure"]
        );
        assert_eq!(fields_of(r#"{"count": 1.0, "inner": 3, "notes": []}"#), ["count", "inner", "notes"]);
        assert_eq!(fields_of(r#"{"inner": ["x"]}"#), ["inner"]);
        assert_eq!(fields_of(r#"{"count": 99999999999999999999}"#), ["count"]);
    }

    #[test]
    fn what_is_given_twice_is_refused() {
        assert_eq!(fields_of(r#"{"name": "a", "name": "b"}"#), ["name"]);
        assert_eq!(fields_of(r#"{"notes": {"k": "a", "k": "b"}}"#), ["k"]);
    }

    #[test]
    fn what_is_not_json_is_refused() {
        for text in ["", "{", "{} {}", "nul", "{\"name\": \"\u{1}\"}", &"[".repeat(10_000)] {
            let told = fields_of(text);
            assert!(told[0].starts_with("the body is not JSON"), "{text:?}: {told:?}");
        }
        for text in ["[]", "[\"a\", 1, true, {}, {}]", "1", "null", "\"x\""] {
            assert_eq!(fields_of(text), ["the body must be a JSON object"]);
        }
    }

    #[test]
    fn only_json_in_utf8_is_json() {
        let json = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(CONTENT_TYPE, value.parse().unwrap());
            is_json(&headers)
        };
        for good in [
            "application/json",
            "Application/JSON",
            "application/json; charset=utf-8",
            "application/json;charset=\"UTF-8\"",
        ] {
            assert!(json(good), "{good}");
        }
        for bad in [
            "text/plain",
            "application/jsonp",
            "application/json; charset=latin1",
            "application/x-www-form-urlencoded",
            "",
        ] {
            assert!(!json(bad), "{bad}");
        }
        assert!(!is_json(&HeaderMap::new()));
    }

    #[test]
    fn an_encoded_body_is_told_from_a_plain_one() {
        let told = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(CONTENT_ENCODING, value.parse().unwrap());
            }
            encoding(&headers)
        };
        for plain in [&[][..], &["identity"], &["Identity"], &[""], &["identity", "identity"]] {
            assert_eq!(told(plain), None, "{plain:?}");
        }
        assert_eq!(told(&["gzip"]).as_deref(), Some("gzip"));
        assert_eq!(told(&["identity, br"]).as_deref(), Some("identity, br"));
        assert_eq!(told(&["identity", "zstd"]).as_deref(), Some("identity, zstd"));
    }
}
