//! Who wants the lock.

use super::atlantis_env::AtlantisEnv;
use super::environment::{self, Environment};
use clap::Args;
use serde_json::{Map, Value};

/// The owner and its pull request.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "Owner")]
pub struct OwnerArgs {
    /// Owner's id, like acme/infra#42 [env: LOCKKEEPER_OWNER] [default: user@host].
    #[arg(long, value_name = "ID")]
    pub owner: Option<String>,

    /// The person behind it.
    #[arg(long)]
    pub user: Option<String>,

    /// Number of the pull request.
    #[arg(long, value_name = "NUM")]
    pub pull: Option<u64>,

    /// Its address.
    #[arg(long, value_name = "URL", requires = "pull")]
    pub pull_url: Option<String>,

    /// Its author.
    #[arg(long, value_name = "USER", requires = "pull")]
    pub pull_author: Option<String>,

    /// Its head commit.
    #[arg(long, value_name = "SHA", requires = "pull")]
    pub head_commit: Option<String>,

    /// The branch it goes to.
    #[arg(long, value_name = "BRANCH", requires = "pull")]
    pub base_branch: Option<String>,
}

impl OwnerArgs {
    /// The owner's id: the flag, else `LOCKKEEPER_OWNER`, else the pull request that Atlantis
    /// names, else `user@host`. The variable goes before Atlantis's, since an outer `run` sets it
    /// and what runs inside must be seen as the same owner.
    pub(crate) fn id(&self, env: &Environment, atlantis: Option<&AtlantisEnv>) -> String {
        self.owner
            .clone()
            .or_else(|| env.get(environment::OWNER).map(str::to_owned))
            .or_else(|| atlantis.map(AtlantisEnv::owner_id))
            .unwrap_or_else(|| env.user_at_host())
    }

    /// The owner of a request body, under this id.
    pub(crate) fn to_json(&self, id: &str, atlantis: Option<&AtlantisEnv>) -> Value {
        let mut owner = Map::new();
        owner.insert("id".into(), id.into());
        if let Some(user) = self.user.clone().or_else(|| atlantis.map(|a| a.user.clone())) {
            owner.insert("user".into(), user.into());
        }
        if let Some(num) = self.pull {
            let mut pull = Map::new();
            pull.insert("num".into(), num.into());
            let optional = [
                ("url", &self.pull_url),
                ("author", &self.pull_author),
                ("head_commit", &self.head_commit),
                ("base_branch", &self.base_branch),
            ];
            for (name, value) in optional {
                if let Some(value) = value {
                    pull.insert(name.into(), value.clone().into());
                }
            }
            owner.insert("pull".into(), Value::Object(pull));
        } else if let Some(atlantis) = atlantis {
            owner.insert("pull".into(), atlantis.pull.clone());
        }
        Value::Object(owner)
    }
}

#[cfg(test)]
mod tests {
    use super::super::atlantis_env::EXAMPLE;
    use super::*;

    #[test]
    fn the_flag_goes_before_the_environment_and_that_before_atlantis() {
        let mut pairs = EXAMPLE.to_vec();
        pairs.push(("USER", "carol"));
        let plain = Environment::of(&pairs);
        pairs.push(("LOCKKEEPER_OWNER", "outer"));
        let nested = Environment::of(&pairs);
        let atlantis = AtlantisEnv::read(&plain).unwrap();
        let flag = OwnerArgs { owner: Some("me".into()), ..OwnerArgs::default() };
        let none = OwnerArgs::default();
        assert_eq!(flag.id(&nested, Some(&atlantis)), "me");
        assert_eq!(none.id(&nested, Some(&atlantis)), "outer");
        assert_eq!(none.id(&plain, Some(&atlantis)), "acme/infra#42");
        assert_eq!(none.id(&plain, None), "carol@host");
    }

    #[test]
    fn the_pull_request_comes_from_flags_or_from_atlantis() {
        let atlantis = AtlantisEnv::read(&Environment::of(&EXAMPLE)).unwrap();
        let owner = OwnerArgs::default().to_json("x", Some(&atlantis));
        assert_eq!((&owner["user"], &owner["pull"]["num"]), (&"alice".into(), &42.into()));
        let flags = OwnerArgs { pull: Some(7), head_commit: Some("abc".into()), ..OwnerArgs::default() };
        assert_eq!(
            flags.to_json("x", None),
            serde_json::json!({"id": "x", "pull": {"num": 7, "head_commit": "abc"}})
        );
    }
}
