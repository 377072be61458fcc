//! RESOURCE on the command line: `namespace:path:workspace[:project_name]`, or flags as in Atlantis.
//!
//! Only the form is read here. Normalising and defaults are the server's, which also knows the
//! default host; parts that were left out are not sent.

use super::atlantis_env::AtlantisEnv;
use clap::Args;
use serde_json::{Map, Value};

/// What to lock.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Resource")]
pub struct ResourceArgs {
    /// namespace:path:workspace[:project_name]; trailing parts may be left out.
    #[arg(value_name = "RESOURCE")]
    pub resource: Option<String>,

    /// Repository full name, instead of RESOURCE.
    #[arg(short, long, value_name = "NAMESPACE", conflicts_with = "resource")]
    pub repo: Option<String>,

    /// Directory in the repository.
    #[arg(short, long, value_name = "PATH", requires = "repo", conflicts_with_all = ["resource", "from_atlantis_env"])]
    pub dir: Option<String>,

    /// Workspace.
    #[arg(short, long, requires = "repo", conflicts_with_all = ["resource", "from_atlantis_env"])]
    pub workspace: Option<String>,

    /// Project name.
    #[arg(short, long, value_name = "NAME", requires = "repo", conflicts_with_all = ["resource", "from_atlantis_env"])]
    pub project: Option<String>,

    /// VCS host.
    #[arg(long)]
    pub host: Option<String>,

    /// Kind of resource: project, workspace, global, custom.
    #[arg(long = "type", value_name = "TYPE", value_parser = ["project", "workspace", "global", "custom"])]
    pub kind: Option<String>,

    /// Take resource, owner and pull request from Atlantis's environment.
    #[arg(long, conflicts_with_all = ["resource", "repo"])]
    pub from_atlantis_env: bool,
}

/// The fields of a resource as they were given; what is `None` gets the server's default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct ResourceFields {
    pub(crate) kind: Option<String>,
    pub(crate) host: Option<String>,
    pub(crate) namespace: String,
    pub(crate) path: Option<String>,
    pub(crate) workspace: Option<String>,
    pub(crate) project_name: Option<String>,
}

impl ResourceArgs {
    /// True when no resource was named in any way.
    pub(crate) fn is_none(&self) -> bool {
        self.resource.is_none() && self.repo.is_none() && !self.from_atlantis_env
    }

    /// The resource that was named.
    ///
    /// # Errors
    /// Says what is wrong with the form, or that none was named.
    pub(crate) fn fields(&self, atlantis: Option<&AtlantisEnv>) -> Result<ResourceFields, String> {
        let mut fields = if let Some(atlantis) = atlantis {
            ResourceFields {
                namespace: atlantis.namespace.clone(),
                path: Some(atlantis.path.clone()),
                workspace: Some(atlantis.workspace.clone()),
                project_name: Some(atlantis.project_name.clone()).filter(|name| !name.is_empty()),
                ..ResourceFields::default()
            }
        } else if let Some(text) = &self.resource {
            parse(text)?
        } else if let Some(repo) = &self.repo {
            ResourceFields {
                namespace: repo.clone(),
                path: self.dir.clone(),
                workspace: self.workspace.clone(),
                project_name: self.project.clone(),
                ..ResourceFields::default()
            }
        } else {
            return Err("name a RESOURCE (namespace:path:workspace), or --repo with -d, -w, -p, or \
                        --from-atlantis-env"
                .into());
        };
        fields.host.clone_from(&self.host);
        fields.kind.clone_from(&self.kind);
        Ok(fields)
    }
}

/// Reads `namespace:path:workspace[:project_name]`. An empty part takes its default.
fn parse(text: &str) -> Result<ResourceFields, String> {
    let mut parts = text.split(':');
    let mut next = || parts.next().filter(|part| !part.is_empty()).map(str::to_owned);
    let Some(namespace) = next() else {
        return Err(format!("RESOURCE {text:?} has no namespace; write namespace:path:workspace"));
    };
    let fields = ResourceFields {
        namespace,
        path: next(),
        workspace: next(),
        project_name: next(),
        ..ResourceFields::default()
    };
    if parts.next().is_some() {
        return Err(format!(
            "RESOURCE {text:?} has more than four parts; for names with a colon use --repo, -d, -w, -p"
        ));
    }
    Ok(fields)
}

impl ResourceFields {
    /// The resource of a request body.
    pub(crate) fn to_json(&self) -> Value {
        let mut body = Map::new();
        body.insert("namespace".into(), self.namespace.clone().into());
        let optional = [
            ("type", &self.kind),
            ("host", &self.host),
            ("path", &self.path),
            ("workspace", &self.workspace),
            ("project_name", &self.project_name),
        ];
        for (name, value) in optional {
            if let Some(value) = value {
                body.insert(name.into(), value.clone().into());
            }
        }
        Value::Object(body)
    }

    /// The query that looks this one resource up. Its identity is spelled out, so that a part
    /// that was left out means its default and not "any".
    pub(crate) fn to_query(&self) -> Vec<(&'static str, String)> {
        let or = |value: &Option<String>, default: &str| value.clone().unwrap_or_else(|| default.into());
        let mut query = vec![
            ("namespace", self.namespace.clone()),
            ("path", or(&self.path, ".")),
            ("workspace", or(&self.workspace, "default")),
            ("project_name", or(&self.project_name, "")),
        ];
        query.extend(self.kind.clone().map(|kind| ("type", kind)));
        query.extend(self.host.clone().map(|host| ("host", host)));
        query
    }
}

impl std::fmt::Display for ResourceFields {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.namespace)?;
        let parts = [&self.path, &self.workspace, &self.project_name];
        let count = parts.iter().rposition(|part| part.is_some()).map_or(0, |last| last + 1);
        for part in &parts[..count] {
            write!(f, ":{}", part.as_deref().unwrap_or_default())?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::atlantis_env::EXAMPLE;
    use super::super::environment::Environment;
    use super::*;

    fn some(text: &str) -> Option<String> {
        Some(text.into())
    }

    #[test]
    fn trailing_parts_may_be_left_out() {
        for (text, path, workspace, project_name) in [
            ("acme/infra", None, None, None),
            ("acme/infra:net/vpc", some("net/vpc"), None, None),
            ("acme/infra:net/vpc:prod", some("net/vpc"), some("prod"), None),
            ("acme/infra:net/vpc:prod:p", some("net/vpc"), some("prod"), some("p")),
            ("acme/infra::prod", None, some("prod"), None),
        ] {
            let want = ResourceFields {
                namespace: "acme/infra".into(),
                path,
                workspace,
                project_name,
                ..ResourceFields::default()
            };
            let got = parse(text).unwrap();
            assert_eq!(got, want, "{text}");
            assert_eq!(got.to_string(), text);
        }
    }

    #[test]
    fn other_forms_are_refused() {
        for text in ["", ":a", "a:b:c:d:e", "a:b:c:d:"] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert!(ResourceArgs::default().fields(None).is_err());
    }

    #[test]
    fn atlantis_names_the_resource() {
        let atlantis = AtlantisEnv::read(&Environment::of(&EXAMPLE)).unwrap();
        let args = ResourceArgs { from_atlantis_env: true, ..ResourceArgs::default() };
        assert_eq!(args.fields(Some(&atlantis)).unwrap().to_string(), "acme/infra:net/vpc:prod");
    }

    #[test]
    fn bodies_carry_what_was_given_and_queries_the_whole_identity() {
        let fields = parse("acme/infra").unwrap();
        assert_eq!(fields.to_json(), serde_json::json!({"namespace": "acme/infra"}));
        let query = fields.to_query();
        assert!(query.contains(&("path", ".".into())) && query.contains(&("workspace", "default".into())));
    }
}
