//! Counting what each client has open at once.

use super::client::Client;
use super::problem::{Problem, RATE_LIMITED};
use lockkeeper_telemetry::metrics;
use parking_lot::Mutex;
use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::num::NonZeroUsize;
use std::sync::Arc;

/// How many of one kind of thing each client has open. As many clients as have something open.
pub(super) struct Places {
    /// The setting that bounds it.
    limit: &'static str,
    /// What is counted, in words.
    what: &'static str,
    taken: Mutex<HashMap<Client, usize>>,
}

impl Places {
    pub(super) fn new(limit: &'static str, what: &'static str) -> Arc<Self> {
        Arc::new(Self { limit, what, taken: Mutex::default() })
    }

    /// A place for this client, unless it has `max` already.
    pub(super) fn take(
        self: &Arc<Self>,
        client: Client,
        max: Option<NonZeroUsize>,
    ) -> Result<Taken, Problem> {
        let mut taken = self.taken.lock();
        let has = taken.entry(client).or_insert(0);
        if let Some(max) = max
            && *has >= max.get()
        {
            metrics().limit_refused(self.limit);
            let detail =
                format!("this client has {has} {} already; at most {max} ({})", self.what, self.limit);
            let problem = Problem::new(&RATE_LIMITED, detail);
            return Err(problem.with("limit", &self.limit).with("value", &max.get()));
        }
        *has += 1;
        Ok(Taken { places: Arc::clone(self), client })
    }
}

/// Something that a client has open; free again when this is dropped.
pub(super) struct Taken {
    places: Arc<Places>,
    client: Client,
}

impl Drop for Taken {
    fn drop(&mut self) {
        if let Entry::Occupied(mut has) = self.places.taken.lock().entry(self.client) {
            *has.get_mut() -= 1;
            if *has.get() == 0 {
                has.remove();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use actix_web::http::header::HeaderMap;

    fn client(number: u8) -> Client {
        Client::read(Some([10, 0, 0, number].into()), &HeaderMap::new(), &[])
    }

    #[test]
    fn a_client_has_as_many_as_it_may_and_the_books_are_empty_in_the_end() {
        let places = Places::new("x.max", "things open");
        let max = NonZeroUsize::new(2);
        let (one, two) = (places.take(client(1), max).unwrap(), places.take(client(1), max).unwrap());
        let problem = places.take(client(1), max).err().unwrap();
        assert_eq!(problem.code().word, "rate_limited");
        assert_eq!(problem.detail(), "this client has 2 things open already; at most 2 (x.max)");
        let other = places.take(client(2), max).unwrap();
        drop(one);
        // What was taken without a limit counts when there is one.
        let more = [places.take(client(1), None).unwrap(), places.take(client(1), None).unwrap()];
        assert!(places.take(client(1), NonZeroUsize::new(3)).is_err());
        drop((two, other, more));
        assert!(places.taken.lock().is_empty());
    }
}
