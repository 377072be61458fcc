//! HTTP requests by route, method and status.
//!
//! A route's pattern, looked up once per request, leads to its histogram and to a short list of the
//! method and status pairs it has answered with.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use metrics::{Counter, Histogram};
use metrics_exporter_prometheus::PrometheusRecorder;

use crate::family::{lookup, series};
use crate::table;

/// Methods that get a series of their own; a client can make up others.
const METHODS: &[&str] = &["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "LOCK", "UNLOCK"];

struct Route {
    name: String,
    duration: Histogram,
    answers: RwLock<Vec<(&'static str, u16, Counter)>>,
}

pub(crate) struct Routes {
    recorder: &'static PrometheusRecorder,
    routes: RwLock<HashMap<String, Arc<Route>>>,
}

impl Routes {
    pub(crate) fn new(recorder: &'static PrometheusRecorder) -> Self {
        Self { recorder, routes: RwLock::default() }
    }

    pub(crate) fn record(&self, route: &str, method: &str, status: u16, elapsed: Duration) {
        let route = lookup(&self.routes, route, |name| {
            Arc::new(Route {
                name: name.to_owned(),
                duration: series(self.recorder, &table::HTTP_REQUEST_DURATION, &[name]),
                answers: RwLock::default(),
            })
        });
        route.duration.record(elapsed.as_secs_f64());
        let method = METHODS.iter().find(|known| **known == method).copied().unwrap_or("other");
        self.answer(&route, method, status).increment(1);
    }

    fn answer(&self, route: &Route, method: &'static str, status: u16) -> Counter {
        let find = |answers: &[(&'static str, u16, Counter)]| {
            answers
                .iter()
                .find(|(m, s, _)| *m == method && *s == status)
                .map(|(_, _, counter)| counter.clone())
        };
        if let Some(found) = find(&route.answers.read().unwrap_or_else(PoisonError::into_inner)) {
            return found;
        }
        let mut answers = route.answers.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = find(&answers) {
            return found;
        }
        let counter: Counter =
            series(self.recorder, &table::HTTP_REQUESTS, &[&route.name, method, &status.to_string()]);
        answers.push((method, status, counter.clone()));
        counter
    }
}
