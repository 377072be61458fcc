//! Query parameters: known ones only, each at most once.

use super::fields;
use super::problem::{Complaints, Problem};
use lockkeeper_core::resource::{NAMESPACE_MAX_BYTES, Resource, ResourceInput};
use lockkeeper_core::{Document, Partition, Span};
use std::borrow::Cow;
use std::ops::RangeInclusive;

/// Entries on a page unless the caller says otherwise.
const LIMIT_DEFAULT: usize = 100;
/// Entries a page may have.
const LIMIT_MAX: u64 = 1000;
/// Bytes of an unknown name that are repeated to the caller.
const SHOWN_MAX_CHARS: usize = 64;

/// The parameters of one request. Read them, then [`Query::finish`].
pub(super) struct Query<'a> {
    given: Vec<(Cow<'a, str>, Cow<'a, str>)>,
    complaints: Complaints,
}

impl<'a> Query<'a> {
    /// Reads a query string; only `known` parameters are taken.
    pub(super) fn read(text: &'a str, known: &[&str]) -> Self {
        let mut query = Query { given: Vec::new(), complaints: Complaints::default() };
        for part in text.split('&').filter(|part| !part.is_empty()) {
            let (name, value) = part.split_once('=').unwrap_or((part, ""));
            let Some(name) = decode(name) else {
                query.complaints.add("query", "has a parameter name that is not UTF-8");
                continue;
            };
            if !known.contains(&&*name) {
                let allowed = if known.is_empty() { "none".into() } else { known.join(", ") };
                let shown: String = name.chars().take(SHOWN_MAX_CHARS).collect();
                query
                    .complaints
                    .add(shown, format!("is not a query parameter of this request; known: {allowed}"));
            } else if query.given.iter().any(|(other, _)| *other == name) {
                query.complaints.add(name.into_owned(), "is given more than once");
            } else if let Some(value) = decode(value) {
                query.given.push((name, value));
            } else {
                query.complaints.add(name.into_owned(), "is not UTF-8");
            }
        }
        query
    }

    /// A parameter as it is.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, value)| &**value)
    }

    fn take(&mut self, name: &str) -> Option<Cow<'a, str>> {
        let place = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(place).1)
    }

    pub(super) fn complain(&mut self, name: &'static str, message: impl Into<Cow<'static, str>>) {
        self.complaints.add(name, message);
    }

    /// A text that must not be empty.
    pub(super) fn text(&mut self, name: &'static str, max_bytes: usize) -> Option<Cow<'a, str>> {
        let value = self.take(name)?;
        fields::text(&mut self.complaints, name, &value, max_bytes, true);
        Some(value)
    }

    /// A whole number.
    pub(super) fn number(&mut self, name: &'static str, bounds: RangeInclusive<u64>) -> Option<u64> {
        let value = self.take(name)?;
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_digit()) {
            self.complain(name, "must be a whole number");
            return None;
        }
        // More digits than a u64 has are out of any bounds.
        fields::number(&mut self.complaints, name, value.parse().unwrap_or(u64::MAX), bounds)
    }

    /// `true` or `false`; absent is false.
    pub(super) fn flag(&mut self, name: &'static str) -> bool {
        match self.take(name).as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => {
                self.complain(name, "must be true or false");
                false
            }
        }
    }

    /// One of several words.
    pub(super) fn word<T>(
        &mut self,
        name: &'static str,
        words: &'static str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Option<T> {
        let value = self.take(name)?;
        let read = read(&value);
        if read.is_none() {
            self.complain(name, format!("must be one of {words}"));
        }
        read
    }

    /// How long to wait.
    pub(super) fn wait(&mut self) -> Span {
        self.take("wait").and_then(|text| fields::wait(&mut self.complaints, &text)).unwrap_or_default()
    }

    /// An age.
    pub(super) fn age(&mut self, name: &'static str) -> Option<Span> {
        self.take(name).and_then(|text| fields::age(&mut self.complaints, name, &text))
    }

    /// How many entries a page may have.
    pub(super) fn limit(&mut self) -> usize {
        self.number("limit", 1..=LIMIT_MAX).map_or(LIMIT_DEFAULT, |limit| limit as usize)
    }

    /// The number of a pull request, which means something only in a namespace.
    pub(super) fn pull(&mut self) -> Option<u64> {
        let asked = self.get("pull").is_some();
        let pull = self.number("pull", 1..=fields::INTEGER_MAX);
        if asked && self.get("namespace").is_none() {
            self.complain("namespace", "is required with pull: its number means something only there");
        }
        pull
    }

    /// A number that must be there.
    pub(super) fn required_number(&mut self, name: &'static str, bounds: RangeInclusive<u64>) -> u64 {
        let asked = self.get(name).is_some();
        let number = self.number(name, bounds);
        if !asked {
            self.complain(name, "is required");
        }
        number.unwrap_or_default()
    }

    /// A namespace that must be there.
    pub(super) fn required_namespace(&mut self) -> Cow<'a, str> {
        let namespace = self.text("namespace", NAMESPACE_MAX_BYTES);
        if namespace.is_none() {
            self.complain("namespace", "is required");
        }
        namespace.unwrap_or_default()
    }

    /// Which resources; see [`Which::NAMES`].
    pub(super) fn which(&mut self) -> Which {
        let given: Vec<Option<Cow<'a, str>>> = Which::NAMES.iter().map(|name| self.take(name)).collect();
        let [kind, host, namespace, path, workspace, project_name] =
            std::array::from_fn(|place| given[place].as_deref());
        // The door's own rules for names and paths, so that a filter finds what an acquire made.
        let input =
            ResourceInput { kind, host, namespace: namespace.or(Some("-")), path, workspace, project_name };
        match Resource::parse(&input, "") {
            Ok(resource) => Which {
                kind: kind.map(|_| resource.kind),
                host: host.map(|_| resource.host),
                namespace: namespace.map(|_| resource.namespace),
                path: path.map(|_| resource.path),
                workspace: workspace.map(|_| resource.workspace),
                project_name: project_name.map(|_| resource.project_name),
            },
            Err(errors) => {
                for error in errors {
                    self.complaints.add(error.field, error.message);
                }
                Which::default()
            }
        }
    }

    /// Ends reading.
    pub(super) fn finish(self) -> Result<(), Problem> {
        self.complaints.check()
    }
}

/// A choice of resources by the fields of their identity.
#[derive(Clone, Debug, Default)]
pub(super) struct Which {
    kind: Option<lockkeeper_core::ResourceKind>,
    host: Option<Box<str>>,
    namespace: Option<Box<str>>,
    path: Option<Box<str>>,
    workspace: Option<Box<str>>,
    project_name: Option<Box<str>>,
}

impl Which {
    /// The parameters that choose.
    pub(super) const NAMES: [&'static str; 6] =
        ["type", "host", "namespace", "path", "workspace", "project_name"];

    /// All resources of one repository; `host`: only there.
    pub(super) fn of_namespace(host: Option<&str>, namespace: &str) -> Self {
        Self { host: host.map(Into::into), namespace: Some(namespace.into()), ..Self::default() }
    }

    /// Is a place named, with repository, directory and workspace?
    pub(super) fn names_place(&self) -> bool {
        self.namespace.is_some() && self.path.is_some() && self.workspace.is_some()
    }

    /// Where all of them lie, if that is one partition.
    pub(super) fn partition(&self) -> Option<Partition> {
        Some(Partition::of(self.host.as_deref()?, self.namespace.as_deref()?))
    }

    /// Is it one of them?
    pub(super) fn takes(&self, document: &Document) -> bool {
        let resource = document.resource();
        let same = |wanted: &Option<Box<str>>, is: &str| wanted.as_deref().is_none_or(|wanted| wanted == is);
        same(&self.namespace, &resource.namespace)
            && same(&self.path, &resource.path)
            && same(&self.workspace, &resource.workspace)
            && same(&self.project_name, &resource.project_name)
            && same(&self.host, &resource.host)
            && self.kind.is_none_or(|kind| kind == resource.kind)
    }
}

/// Percent-decodes (`+` is a space); `None` when the result is not UTF-8.
fn decode(text: &str) -> Option<Cow<'_, str>> {
    if !text.bytes().any(|byte| matches!(byte, b'%' | b'+')) {
        return Some(text.into());
    }
    let bytes = text.as_bytes();
    let mut decoded = Vec::with_capacity(bytes.len());
    let mut place = 0;
    while place < bytes.len() {
        let hex = |at: usize| bytes.get(at).and_then(|byte| char::from(*byte).to_digit(16));
        match (bytes[place], hex(place + 1), hex(place + 2)) {
            (b'%', Some(high), Some(low)) => {
                decoded.push((high << 4 | low) as u8);
                place += 3;
            }
            (byte, _, _) => {
                decoded.push(if byte == b'+' { b' ' } else { byte });
                place += 1;
            }
        }
    }
    String::from_utf8(decoded).ok().map(Cow::Owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields_of(query: Query<'_>) -> Vec<String> {
        match query.finish() {
            Ok(()) => Vec::new(),
            Err(problem) => problem.errors().iter().map(|error| error.field.to_string()).collect(),
        }
    }

    #[test]
    fn unknown_and_repeated_parameters_are_named() {
        let query = Query::read("a=1&b=2&a=3&c&%64=4", &["a", "d"]);
        assert_eq!(query.get("d"), Some("4"));
        assert_eq!(fields_of(query), ["b", "a", "c"]);
        assert_eq!(fields_of(Query::read("", &[])), Vec::<String>::new());
        assert_eq!(fields_of(Query::read("&&", &[])), Vec::<String>::new());
        assert_eq!(fields_of(Query::read("%ff=1&a=%ff", &["a"])), ["query", "a"]);
    }

    #[test]
    fn values_are_decoded() {
        let query = Query::read("a=acme%2Finfra+x&b=100%&c=%zz", &["a", "b", "c"]);
        assert_eq!(
            (query.get("a"), query.get("b"), query.get("c")),
            (Some("acme/infra x"), Some("100%"), Some("%zz"))
        );
    }

    #[test]
    fn every_wrong_value_is_named() {
        let text =
            "limit=0&pull=x&wait=2m&state=none&consistent=1&token=99999999999999999999999&held=30&owner=";
        let known = ["limit", "pull", "wait", "state", "consistent", "token", "held", "owner", "namespace"];
        let mut query = Query::read(text, &known);
        query.limit();
        query.pull();
        query.wait();
        query.word("state", "held, reserved", |_| None::<()>);
        query.flag("consistent");
        query.number("token", 1..=fields::INTEGER_MAX);
        query.age("held");
        query.text("owner", 512);
        let named = ["limit", "pull", "namespace", "wait", "state", "consistent", "token", "held", "owner"];
        assert_eq!(fields_of(query), named);
    }

    #[test]
    fn resources_are_chosen_as_they_are_normalised() {
        let mut query = Query::read("namespace=acme/infra&path=./a//b/&host=", &Which::NAMES);
        let which = query.which();
        assert_eq!(which.path.as_deref(), Some("a/b"));
        assert_eq!(which.partition(), Some(Partition::of("", "acme/infra")));
        let mut query = Query::read("namespace=&path=/a&workspace=&type=x", &Which::NAMES);
        query.which();
        assert_eq!(fields_of(query), ["type", "namespace", "workspace", "path"]);
    }
}
