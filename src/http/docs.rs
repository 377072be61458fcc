//! The API's description, and a page that shows it without anything from elsewhere.

use super::Door;
use super::views::JSON;
use actix_web::http::header::{CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderValue};
use actix_web::{HttpResponse, web};
use bytes::Bytes;

const OPENAPI: &str = include_str!("docs/openapi.json");
/// What is there besides with `--chaos`.
const CHAOS: &str = include_str!("docs/chaos.json");
const PAGE: &str = include_str!("docs/index.html");
const SCRIPT: &str = include_str!("docs/docs.js");
const STYLE: &str = include_str!("docs/docs.css");
/// Stands in the description for this build's version.
const VERSION_PLACE: &str = "0.0.0-build";
/// The page loads its own two files and asks for the description, and nothing else.
const PAGE_POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// The description of this build's API, with or without what exists only with `--chaos`.
pub(super) fn description(version: &str, chaos: bool) -> Bytes {
    let usual = OPENAPI.replacen(VERSION_PLACE, version, 1);
    let with_chaos = || merged(&usual).ok();
    if chaos && let Some(whole) = with_chaos() { whole.into() } else { usual.into() }
}

/// The description with what is only for tests of faults. The two files are part of the program,
/// and a test puts them together.
fn merged(usual: &str) -> Result<Vec<u8>, serde_json::Error> {
    let mut whole: serde_json::Value = serde_json::from_str(usual)?;
    let mut chaos: serde_json::Value = serde_json::from_str(CHAOS)?;
    let mut add = |to: &str, from: &str| {
        let (Some(to), Some(from)) = (whole.pointer_mut(to), chaos.get_mut(from)) else { return };
        match (to, from) {
            (serde_json::Value::Object(to), serde_json::Value::Object(from)) => to.append(from),
            (serde_json::Value::Array(to), serde_json::Value::Array(from)) => to.append(from),
            _ => {}
        }
    };
    add("/tags", "tags");
    add("/paths", "paths");
    add("/components/examples", "examples");
    add("/components/schemas", "schemas");
    serde_json::to_vec_pretty(&whole)
}

/// `GET /api/openapi.json`.
pub(super) async fn openapi(door: web::Data<Door>) -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, JSON)).body(door.description.clone())
}

/// `GET /api/docs`.
pub(super) async fn page() -> HttpResponse {
    HttpResponse::Ok()
        .insert_header((CONTENT_SECURITY_POLICY, PAGE_POLICY))
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .body(PAGE)
}

/// `GET /api/docs/docs.js`.
pub(super) async fn script() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/javascript; charset=utf-8")).body(SCRIPT)
}

/// `GET /api/docs/docs.css`.
pub(super) async fn style() -> HttpResponse {
    HttpResponse::Ok().insert_header((CONTENT_TYPE, "text/css; charset=utf-8")).body(STYLE)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::CODES;
    use crate::http::routes::{CHAOS_ROUTES, ROUTES};
    use serde_json::Value;
    use std::collections::BTreeSet;

    fn described() -> Value {
        serde_json::from_slice(&description("1.2.3", true)).unwrap()
    }

    #[test]
    fn every_route_is_described_and_nothing_else() {
        for chaos in [false, true] {
            let described: Value = serde_json::from_slice(&description("1.2.3", chaos)).unwrap();
            let mut there = BTreeSet::new();
            for (path, item) in described["paths"].as_object().unwrap() {
                for method in item.as_object().unwrap().keys().filter(|name| *name != "parameters") {
                    there.insert((path.clone(), method.to_uppercase()));
                }
            }
            // Its style and script are part of the page, not of the interface.
            let usual = ROUTES.iter().filter(|route| !route.pattern.starts_with("/api/docs/"));
            let registered: BTreeSet<(String, String)> = usual
                .chain(if chaos { CHAOS_ROUTES } else { &[] })
                .flat_map(|route| {
                    route
                        .methods
                        .iter()
                        .map(|(method, _)| (route.pattern.to_owned(), method.word().to_owned()))
                })
                .collect();
            assert_eq!(there, registered);
        }
    }

    #[test]
    fn every_code_is_described_with_its_status() {
        let described = described();
        let codes =
            described["components"]["schemas"]["Problem"]["properties"]["code"]["enum"].as_array().unwrap();
        let words: Vec<&str> = codes.iter().map(|code| code.as_str().unwrap()).collect();
        assert_eq!(words, CODES.iter().map(|code| code.word).collect::<Vec<_>>());
        let table = described["x-problem-codes"].as_object().unwrap();
        for code in CODES {
            let row = &table[code.word];
            assert_eq!(
                (&row["status"], &row["retryable"]),
                (&code.status.into(), &code.retryable.into()),
                "{}",
                code.word
            );
            assert_eq!(
                (&row["title"], &row["hint"]),
                (&code.title.into(), &code.hint.into()),
                "{}",
                code.word
            );
        }
    }

    #[test]
    fn every_reference_leads_somewhere() {
        fn look(node: &Value, root: &Value) {
            match node {
                Value::Object(members) => {
                    if let Some(Value::String(to)) = members.get("$ref") {
                        let pointer = to.strip_prefix('#').unwrap();
                        assert!(root.pointer(pointer).is_some(), "{to}");
                    }
                    members.values().for_each(|member| look(member, root));
                }
                Value::Array(items) => items.iter().for_each(|item| look(item, root)),
                _ => {}
            }
        }
        let described = described();
        look(&described, &described);
        assert_eq!(
            (&described["openapi"], &described["info"]["version"]),
            (&"3.1.0".into(), &"1.2.3".into())
        );
    }

    #[test]
    fn every_path_parameter_and_answer_is_described() {
        let described = described();
        for (path, item) in described["paths"].as_object().unwrap() {
            for (method, operation) in
                item.as_object().unwrap().iter().filter(|(name, _)| *name != "parameters")
            {
                let at = format!("{method} {path}");
                assert!(operation["summary"].is_string() && operation["operationId"].is_string(), "{at}");
                let answers = operation["responses"].as_object().unwrap();
                assert!(answers.keys().any(|status| status.starts_with('2')), "{at}");
                let parameters = [&item["parameters"], &operation["parameters"]];
                let named: Vec<&str> = parameters
                    .iter()
                    .flat_map(|list| list.as_array().into_iter().flatten())
                    .filter_map(|parameter| {
                        let parameter = match parameter["$ref"].as_str() {
                            Some(to) => described.pointer(to.strip_prefix('#')?)?,
                            None => parameter,
                        };
                        (parameter["in"] == "path").then(|| parameter["name"].as_str())?
                    })
                    .collect();
                for part in path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}')) {
                    assert!(named.contains(&part), "{at}: {part}");
                }
            }
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for text in [PAGE, SCRIPT, STYLE] {
            assert!(!text.contains("http://") && !text.contains("https://") && !text.contains("innerHTML"));
        }
        assert!(!PAGE.contains("<style") && !PAGE.contains("style=") && !PAGE.contains(" onclick"));
    }
}
