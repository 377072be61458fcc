//! `GET /api/v1/instances`: who serves the same locks.

use super::Door;
use super::instant::Instant;
use super::locks::no_query;
use super::problem::Problem;
use super::views::ok;
use actix_web::{HttpRequest, HttpResponse, web};
use lockkeeper_core::Timestamp;
use lockkeeper_store::shared::InstanceRecord;
use serde::Serialize;

#[derive(Serialize)]
struct InstanceView<'a> {
    id: &'a str,
    incarnation: &'a str,
    address: &'a str,
    version: &'a str,
    started_at: Instant,
    seen_at: Instant,
    #[serde(rename = "self")]
    is_self: bool,
}

#[derive(Serialize)]
struct Instances<'a> {
    instances: Vec<InstanceView<'a>>,
    as_of: Instant,
}

impl<'a> Instances<'a> {
    /// The instances that `incarnation` heard of, as of when it last spoke itself: it hears of the
    /// others whenever it does. Before that it has heard of nobody.
    fn of(records: &'a [InstanceRecord], incarnation: &str) -> Self {
        let view = |record: &'a InstanceRecord| InstanceView {
            id: &record.id,
            incarnation: &record.incarnation,
            address: &record.address,
            version: &record.version,
            started_at: Instant(record.started_at),
            seen_at: Instant(record.seen_at),
            is_self: record.incarnation == incarnation,
        };
        let own = records.iter().find(|record| record.incarnation == incarnation);
        let as_of = Instant(own.map_or(Timestamp::ZERO, |record| record.seen_at));
        Self { instances: records.iter().map(view).collect(), as_of }
    }
}

/// `GET /api/v1/instances`.
pub(super) async fn list(req: HttpRequest, door: web::Data<Door>) -> Result<HttpResponse, Problem> {
    no_query(&req)?;
    let incarnation = door.locks.events().id(0).instance;
    let records = if door.locks.replica().is_some() {
        door.locks.instances()
    } else {
        vec![InstanceRecord {
            id: door.params.instance.clone(),
            incarnation: incarnation.to_string(),
            address: door.params.address.clone(),
            version: door.params.version.to_owned(),
            started_at: door.started_at,
            seen_at: door.locks.now(),
        }]
    };
    ok(&Instances::of(&records, &incarnation))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::testing::{TestDoor, fields_of};
    use serde_json::{Value, json};

    fn record(id: &str, seen_at: u64) -> InstanceRecord {
        InstanceRecord {
            id: id.into(),
            incarnation: format!("{id}-1"),
            address: format!("{id}:4142"),
            version: "1.2.3".into(),
            started_at: Timestamp::from_millis(1000),
            seen_at: Timestamp::from_millis(seen_at),
        }
    }

    #[test]
    fn the_list_is_as_old_as_the_last_word_of_the_one_that_tells() {
        let records = [record("a", 2000), record("b", 5000)];
        let told = serde_json::to_value(Instances::of(&records, "a-1")).unwrap();
        assert_eq!(told["as_of"], "1970-01-01T00:00:02.000Z");
        assert_eq!(
            told["instances"][0],
            json!({"id": "a", "incarnation": "a-1", "address": "a:4142", "version": "1.2.3",
                "started_at": "1970-01-01T00:00:01.000Z", "seen_at": "1970-01-01T00:00:02.000Z", "self": true})
        );
        assert_eq!(told["instances"][1]["self"], false);
        let silent = serde_json::to_value(Instances::of(&records[1..], "a-1")).unwrap();
        assert_eq!(
            (&silent["as_of"], &silent["instances"][0]["self"]),
            (&json!("1970-01-01T00:00:00.000Z"), &json!(false))
        );
    }

    #[actix_web::test]
    async fn a_server_with_a_store_of_its_own_is_alone() {
        let door = TestDoor::start().await;
        let (status, told) = door.get("/api/v1/instances").await;
        assert_eq!((status, told["instances"].as_array().map(Vec::len)), (200, Some(1)), "{told}");
        let one = &told["instances"][0];
        assert_eq!(
            (&one["id"], &one["incarnation"], &one["self"]),
            (&json!("local"), &json!("test"), &json!(true))
        );
        assert_eq!((&one["address"], &one["version"]), (&json!("127.0.0.1:4142"), &json!("1.2.3")));
        assert_eq!(one["seen_at"], told["as_of"]);
        let times: Vec<&str> =
            ["started_at", "seen_at"].iter().filter_map(|name| one[name].as_str()).collect();
        assert!(times.len() == 2 && times[0] <= times[1], "{told}");
        let (status, refused): (u16, Value) = door.get("/api/v1/instances?id=a").await;
        assert_eq!((status, fields_of(&refused)), (400, vec!["id".to_owned()]));
    }
}
