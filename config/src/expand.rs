//! `${NAME}` in the values of the settings file.
//!
//! `${NAME}` is the variable's value, `${NAME:-text}` the text when it is unset or empty (as in a
//! shell), `$${` a literal `${`. A missing variable is an error: the empty text it would otherwise
//! become is a valid value for some settings.

use crate::environment::Environment;

/// Replaces the variables in `text`.
pub(crate) fn expand(text: &str, environment: &Environment) -> Result<String, String> {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(dollar) = rest.find('$') {
        out.push_str(&rest[..dollar]);
        rest = &rest[dollar..];
        if let Some(after) = rest.strip_prefix("$${") {
            out.push_str("${");
            rest = after;
        } else if let Some(after) = rest.strip_prefix("${") {
            let Some((inside, after)) = after.split_once('}') else {
                return Err(
                    "has a \"${\" without its \"}\"; write \"$${\" for the characters themselves".to_owned()
                );
            };
            out.push_str(&variable(inside, environment)?);
            rest = after;
        } else {
            out.push('$');
            rest = &rest[1..];
        }
    }
    out.push_str(rest);
    Ok(out)
}

/// The opposite: a text that expands to `text`, whatever the environment.
pub(crate) fn escape(text: &str) -> String {
    text.replace("${", "$${")
}

fn variable(inside: &str, environment: &Environment) -> Result<String, String> {
    let (name, default) = match inside.split_once(":-") {
        Some((name, default)) => (name, Some(default)),
        None => (inside, None),
    };
    let valid = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        && name.bytes().next().is_some_and(|byte| !byte.is_ascii_digit());
    if !valid {
        return Err("has a \"${…}\" that is not ${NAME} or ${NAME:-default}; write \"$${\" for the characters themselves".to_owned());
    }
    let value = match environment.get(name) {
        Some(value) => Some(value.map_err(|_| format!("uses the variable {name}, which is not UTF-8"))?),
        None => None,
    };
    match (value, default) {
        (Some(""), Some(default)) | (None, Some(default)) => Ok(default.to_owned()),
        (Some(value), _) => Ok(value.to_owned()),
        (None, None) => {
            Err(format!("uses the variable {name}, which is not set; set it, or write ${{{name}:-default}}"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn environment() -> Environment {
        Environment::from_pairs([("HOST", "db"), ("EMPTY", ""), ("TRICK", "${HOST}")])
    }

    #[test]
    fn replaces_variables() {
        for (text, expanded) in [
            ("plain", "plain"),
            ("${HOST}", "db"),
            ("a-${HOST}-${HOST}-b", "a-db-db-b"),
            ("${NONE:-x}", "x"),
            ("${NONE:-}", ""),
            ("${NONE:-a:-b}", "a:-b"),
            ("${EMPTY}", ""),
            ("${EMPTY:-x}", "x"),
            ("${HOST:-x}", "db"),
            ("$HOST $ $$ $", "$HOST $ $$ $"),
            ("$${HOST}", "${HOST}"),
            ("$$${HOST}", "$${HOST}"),
            // A value is not expanded again: variables come from elsewhere and are not ours to read.
            ("${TRICK}", "${HOST}"),
        ] {
            assert_eq!(expand(text, &environment()).as_deref(), Ok(expanded), "{text}");
        }
    }

    #[test]
    fn says_what_it_cannot_replace() {
        for (text, part) in [
            ("${NONE}", "NONE"),
            ("${HOST", "without its"),
            ("${}", "NAME"),
            ("${:-x}", "NAME"),
            ("${1A}", "NAME"),
            ("${A B}", "NAME"),
        ] {
            let error = expand(text, &environment()).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
    }

    #[test]
    fn escaped_text_comes_back() {
        for text in ["", "$", "${", "$${", "$$${HOST}", "a${HOST}b", "}"] {
            assert_eq!(expand(&escape(text), &environment()).as_deref(), Ok(text));
        }
    }
}
