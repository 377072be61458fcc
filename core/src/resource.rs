//! What is locked: the identity of a resource, normalised, and its stable id.

use minicbor::{Decode, Encode};
use sha2::{Digest, Sha256};
use std::fmt;
use std::str::FromStr;

/// Bytes a namespace may have.
pub const NAMESPACE_MAX_BYTES: usize = 512;
/// Bytes a path may have.
pub const PATH_MAX_BYTES: usize = 1024;
/// Bytes any other name may have.
pub const NAME_MAX_BYTES: usize = 256;
/// How many partitions there are; everything of one repository lies in one of them.
pub const PARTITIONS: usize = 256;

/// What kind of thing is locked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum ResourceKind {
    /// A Terraform project: repository, directory, workspace.
    #[default]
    #[n(0)]
    Project,
    /// A workspace across directories.
    #[n(1)]
    Workspace,
    /// Something there is one of.
    #[n(2)]
    Global,
    /// Anything else.
    #[n(3)]
    Custom,
}

impl ResourceKind {
    /// Every kind, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Project, Self::Workspace, Self::Global, Self::Custom];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Project => "project",
            Self::Workspace => "workspace",
            Self::Global => "global",
            Self::Custom => "custom",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == word)
    }
}

/// A group of documents that one commit can change together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Partition(pub u8);

impl Partition {
    /// The partition of everything of one repository.
    #[must_use]
    pub fn of(host: &str, namespace: &str) -> Self {
        Self(hash(&[host, namespace])[0])
    }
}

/// A stable hash of a resource's identity. The first byte is its partition.
///
/// 56 bits remain for the rest: of a million resources in one repository two share an id with a
/// chance of one in a hundred thousand; documents keep the whole identity and refuse a stranger.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ResourceId(pub u64);

impl ResourceId {
    /// Where its document is kept.
    #[must_use]
    pub const fn partition(self) -> Partition {
        Partition((self.0 >> 56) as u8)
    }
}

impl fmt::Display for ResourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// The text is not a resource id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a resource id: 16 hexadecimal digits are expected")]
pub struct NotAResourceId;

impl FromStr for ResourceId {
    type Err = NotAResourceId;

    fn from_str(text: &str) -> Result<Self, NotAResourceId> {
        if text.len() != 16 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(NotAResourceId);
        }
        u64::from_str_radix(text, 16).map(Self).map_err(|_| NotAResourceId)
    }
}

/// The fields of a resource as a caller gave them; `None` takes the default.
#[derive(Clone, Debug, Default)]
pub struct ResourceInput<'a> {
    /// Kind; default `project`.
    pub kind: Option<&'a str>,
    /// VCS host; default the configured one.
    pub host: Option<&'a str>,
    /// Repository full name; required.
    pub namespace: Option<&'a str>,
    /// Directory; default `.`.
    pub path: Option<&'a str>,
    /// Workspace; default `default`.
    pub workspace: Option<&'a str>,
    /// Project name; default empty.
    pub project_name: Option<&'a str>,
}

/// What is wrong with one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{field} {message}")]
pub struct FieldError {
    /// The field, in the caller's words.
    pub field: &'static str,
    /// What is wrong and what is allowed.
    pub message: String,
}

/// The normalised identity of what is locked.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
pub struct Resource {
    /// What kind of thing it is.
    #[n(0)]
    pub kind: ResourceKind,
    /// VCS host; may be empty.
    #[n(1)]
    pub host: Box<str>,
    /// Repository full name.
    #[n(2)]
    pub namespace: Box<str>,
    /// Directory in it, normalised; `.` is its root.
    #[n(3)]
    pub path: Box<str>,
    /// Workspace.
    #[n(4)]
    pub workspace: Box<str>,
    /// Project name; may be empty.
    #[n(5)]
    pub project_name: Box<str>,
}

impl Resource {
    /// Normalises and checks what a caller gave.
    ///
    /// # Errors
    /// Every field that is wrong, not only the first.
    pub fn parse(input: &ResourceInput<'_>, default_host: &str) -> Result<Self, Vec<FieldError>> {
        let mut errors = Vec::new();
        let mut complain = |field, message: String| errors.push(FieldError { field, message });

        let kind = input.kind.unwrap_or("project");
        let kind = ResourceKind::from_word(kind).unwrap_or_else(|| {
            complain("type", "must be one of project, workspace, global, custom".into());
            ResourceKind::Project
        });
        let mut name = |field, given: Option<&str>, default: &str, max: usize, required: bool| -> Box<str> {
            let value = given.unwrap_or(default);
            if let Err(message) = check_name(value, max, required) {
                complain(field, message);
            }
            value.into()
        };
        let host = name("host", input.host, default_host, NAME_MAX_BYTES, false);
        let namespace = name("namespace", input.namespace, "", NAMESPACE_MAX_BYTES, true);
        let workspace = name("workspace", input.workspace, "default", NAME_MAX_BYTES, true);
        let project_name = name("project_name", input.project_name, "", NAME_MAX_BYTES, false);
        let path = name("path", input.path, ".", PATH_MAX_BYTES, false);
        let path = normalise_path(&path).unwrap_or_else(|message| {
            complain("path", message.into());
            ".".into()
        });
        if errors.is_empty() {
            Ok(Self { kind, host, namespace, path, workspace, project_name })
        } else {
            Err(errors)
        }
    }

    /// The id that addresses it.
    #[must_use]
    pub fn id(&self) -> ResourceId {
        let rest = hash(&[
            self.kind.as_str(),
            &self.host,
            &self.namespace,
            &self.path,
            &self.workspace,
            &self.project_name,
        ]);
        let mut bytes = [0u8; 8];
        bytes.copy_from_slice(&rest[..8]);
        bytes[0] = Partition::of(&self.host, &self.namespace).0;
        ResourceId(u64::from_be_bytes(bytes))
    }

    /// Atlantis's form of it, for people and for legacy stores. Two resources can share one key,
    /// so nothing parses it.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}/{}/{}/{}", self.namespace, self.path, self.workspace, self.project_name)
    }
}

/// Checks a name's length and characters.
///
/// # Errors
/// What is wrong with it, and what is allowed.
pub fn check_name(value: &str, max_bytes: usize, required: bool) -> Result<(), String> {
    if required && value.is_empty() {
        return Err("is required and must not be empty".into());
    }
    if value.len() > max_bytes {
        return Err(format!("has {} bytes; at most {max_bytes} are allowed", value.len()));
    }
    if value.chars().any(char::is_control) {
        return Err("must not contain control characters".into());
    }
    Ok(())
}

fn normalise_path(path: &str) -> Result<Box<str>, &'static str> {
    if path.starts_with('/') {
        return Err("must be relative: a leading \"/\" is not allowed");
    }
    // One directory must have one spelling: two would be two locks.
    let parts: Vec<&str> = path.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.contains(&"..") {
        return Err("must not contain \"..\"");
    }
    Ok(if parts.is_empty() { ".".into() } else { parts.join("/").into() })
}

/// SHA-256 over length-prefixed parts: no two lists of parts give the same input.
fn hash(parts: &[&str]) -> [u8; 32] {
    let mut hasher = Sha256::new();
    for part in parts {
        hasher.update((part.len() as u64).to_be_bytes());
        hasher.update(part.as_bytes());
    }
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(path: &str) -> Result<Resource, Vec<FieldError>> {
        let input = ResourceInput { namespace: Some("acme/infra"), path: Some(path), ..Default::default() };
        Resource::parse(&input, "")
    }

    #[test]
    fn paths_are_normalised() {
        for (given, kept) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("./a", "a"),
            ("a//b/", "a/b"),
            ("././a", "a"),
            ("a/./b", "a/b"),
            (".a", ".a"),
            ("a/..b", "a/..b"),
        ] {
            assert_eq!(&*parse(given).unwrap().path, kept, "{given:?}");
        }
        for bad in ["/a", "..", "a/../b", "a/..", "../a", "a\u{7}b"] {
            assert_eq!(parse(bad).unwrap_err()[0].field, "path", "{bad:?}");
        }
    }

    #[test]
    fn every_wrong_field_is_named() {
        let long = "x".repeat(NAME_MAX_BYTES + 1);
        let input = ResourceInput {
            kind: Some("Project"),
            workspace: Some(""),
            project_name: Some(&long),
            ..Default::default()
        };
        let fields: Vec<_> = Resource::parse(&input, "").unwrap_err().iter().map(|e| e.field).collect();
        assert_eq!(fields, ["type", "namespace", "workspace", "project_name"]);
    }

    #[test]
    fn the_id_is_stable_and_begins_with_the_partition() {
        let resource = parse("networking/vpc").unwrap();
        // Stored files depend on this value: it must never change.
        assert_eq!(resource.id().to_string(), "5ccb90b63332e315");
        assert_eq!(resource.id().partition(), Partition::of("", "acme/infra"));
        assert_eq!(resource.id().to_string().parse(), Ok(resource.id()));
        assert_eq!(resource.key(), "acme/infra/networking/vpc/default/");
    }

    #[test]
    fn fields_do_not_run_into_each_other() {
        let one = ResourceInput {
            namespace: Some("a"),
            path: Some("b"),
            workspace: Some("c"),
            ..Default::default()
        };
        let two = ResourceInput {
            namespace: Some("a"),
            path: Some("b/c"),
            workspace: Some("c"),
            ..Default::default()
        };
        let host = ResourceInput { host: Some("h"), ..one.clone() };
        let ids: Vec<_> = [one, two, host].iter().map(|i| Resource::parse(i, "").unwrap().id()).collect();
        assert!(ids[0] != ids[1] && ids[0] != ids[2] && ids[1] != ids[2]);
    }
}
