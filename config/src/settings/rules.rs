//! What must hold between settings.

use crate::problem::Problem;
use crate::resolve::Candidates;
use crate::schema::Rule;
use crate::value::Value;

/// Those of every store.
pub(super) const RULES: &[Rule] = &[Rule::One(default_within_max), Rule::One(loopback_only)];

fn default_within_max(settings: &Candidates) -> Option<Problem> {
    let (default, max) = (settings.get("default-ttl")?, settings.get("max-timeout")?);
    let (Value::Duration(ttl), Value::Duration(longest)) = (&default.value, &max.value) else { return None };
    (ttl > longest).then(|| {
        let message = format!(
            "is more than max-timeout, which is {} ({}); lower default-ttl or raise max-timeout",
            max.value, max.source
        );
        Problem::new("default-ttl", &default.source, message).with_value(&default.value.to_string(), false)
    })
}

fn loopback_only(settings: &Candidates) -> Option<Problem> {
    let (listen, insecure) = (settings.get("listen")?, settings.get("insecure")?);
    let Value::Address(address) = listen.value else { return None };
    // An IPv4 address in IPv6's clothes is judged as what it is.
    let loopback = address.ip().to_canonical().is_loopback();
    (!loopback && insecure.value == Value::Bool(false)).then(|| {
        let message = "is not a loopback address: without tokens only loopback may be served; use --insecure to accept that everyone who reaches this address can release any lock";
        Problem::new("listen", &listen.source, message).with_value(&listen.value.to_string(), false)
    })
}
