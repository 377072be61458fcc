//! What Atlantis tells the commands of a custom workflow, read as a resource and its owner.

use super::environment::Environment;
use serde_json::{Value, json};

/// A pull request's project as Atlantis names it in the environment.
#[derive(Clone, Debug)]
pub(crate) struct AtlantisEnv {
    /// Repository full name.
    pub(crate) namespace: String,
    /// Directory in it.
    pub(crate) path: String,
    /// Workspace.
    pub(crate) workspace: String,
    /// Project name; may be empty.
    pub(crate) project_name: String,
    /// Who gave the command.
    pub(crate) user: String,
    /// The pull request, as the API wants it.
    pub(crate) pull: Value,
    pull_num: u64,
}

impl AtlantisEnv {
    /// Reads it whole.
    ///
    /// # Errors
    /// Names every variable that is missing or wrong, not only the first.
    pub(crate) fn read(env: &Environment) -> Result<Self, String> {
        let mut missing = Vec::new();
        let mut need = |name: &'static str| {
            let value = env.get(name);
            if value.is_none() {
                missing.push(name);
            }
            value.unwrap_or_default().to_owned()
        };
        let owner = need("BASE_REPO_OWNER");
        let repo = need("BASE_REPO_NAME");
        let path = need("REPO_REL_DIR");
        let workspace = need("WORKSPACE");
        let num = need("PULL_NUM");
        let user = need("USER_NAME");
        let url = need("PULL_URL");
        let author = need("PULL_AUTHOR");
        let head_commit = need("HEAD_COMMIT");
        let base_branch = need("BASE_BRANCH_NAME");

        let mut complaints = Vec::new();
        if !missing.is_empty() {
            complaints.push(format!("--from-atlantis-env needs {}, not set", missing.join(", ")));
        }
        let pull_num = num.parse::<u64>().unwrap_or(0);
        if pull_num == 0 && !num.is_empty() {
            complaints.push(format!("PULL_NUM is {num:?}, not the number of a pull request"));
        }
        if !complaints.is_empty() {
            return Err(complaints.join("; "));
        }
        Ok(Self {
            namespace: format!("{owner}/{repo}"),
            path,
            workspace,
            project_name: env.get("PROJECT_NAME").unwrap_or_default().to_owned(),
            user,
            pull: json!({
                "num": pull_num, "url": url, "author": author,
                "head_commit": head_commit, "base_branch": base_branch,
            }),
            pull_num,
        })
    }

    /// The owner id of this pull request.
    pub(crate) fn owner_id(&self) -> String {
        format!("{}#{}", self.namespace, self.pull_num)
    }
}

#[cfg(test)]
pub(crate) const EXAMPLE: [(&str, &str); 11] = [
    ("BASE_REPO_OWNER", "acme"),
    ("BASE_REPO_NAME", "infra"),
    ("REPO_REL_DIR", "net/vpc"),
    ("WORKSPACE", "prod"),
    ("PROJECT_NAME", ""),
    ("PULL_NUM", "42"),
    ("USER_NAME", "alice"),
    ("PULL_URL", "https://git/42"),
    ("PULL_AUTHOR", "bob"),
    ("HEAD_COMMIT", "abc"),
    ("BASE_BRANCH_NAME", "main"),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_read() {
        let read = AtlantisEnv::read(&Environment::of(&EXAMPLE)).unwrap();
        assert_eq!(read.owner_id(), "acme/infra#42");
        assert_eq!((read.path.as_str(), read.workspace.as_str()), ("net/vpc", "prod"));
        assert_eq!(read.project_name, "");
        assert_eq!(read.pull["num"], 42);
        assert_eq!(read.pull["base_branch"], "main");
    }

    #[test]
    fn all_missing_ones_are_named_at_once() {
        let error = AtlantisEnv::read(&Environment::of(&[("PULL_NUM", "x"), ("WORKSPACE", "")])).unwrap_err();
        for name in ["BASE_REPO_OWNER", "REPO_REL_DIR", "WORKSPACE", "HEAD_COMMIT", "PULL_NUM is \"x\""] {
            assert!(error.contains(name), "{name} in {error}");
        }
        assert!(!error.contains("PROJECT_NAME"), "{error}");
    }
}
