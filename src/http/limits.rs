//! What each client, and all of them together, may ask of this instance.

use super::Door;
use super::body::{BODY_MAX_BYTES, DRAIN_MAX_BYTES, drain};
use super::client::Client;
use super::client_tickets::{Asked, ClientTickets};
use super::places::{Places, Taken};
use super::problem::Problem;
use super::rates::{Kind, RateLimits};
use actix_web::dev::ServiceRequest;
use actix_web::{HttpMessage, web};
use lockkeeper_actors::AcquireRequest;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// Everything that is counted by client; one for all workers.
pub(super) struct Limits {
    rates: RateLimits,
    waiting: Arc<Places>,
    subscribers: Arc<Places>,
    tickets: Arc<ClientTickets>,
}

impl Limits {
    pub(super) fn new() -> Self {
        Self {
            rates: RateLimits::new(),
            waiting: Places::new("http.max-waiting-per-client", "requests that wait"),
            subscribers: Places::new("events.max-subscribers-per-client", "event streams"),
            tickets: Arc::default(),
        }
    }
}

impl Door {
    /// By when a body that begins now must be there.
    pub(super) fn body_deadline(&self) -> Instant {
        Instant::now() + self.params.body_timeout
    }

    /// Notes whose request it is, and refuses it if it is one too many.
    pub(super) async fn admit(&self, req: &mut ServiceRequest) -> Result<(), Problem> {
        let peer = req.peer_addr().map(|address| address.ip());
        let client = Client::read(peer, req.headers(), &self.params.trusted_proxies);
        req.extensions_mut().insert(client);
        let kind = Kind::of(req.method(), req.path());
        let checked = self.limits.rates.check(&self.tunables().rates, client, kind);
        let Err(problem) = checked else { return Ok(()) };
        // A body of a usual size is read, so that the answer arrives; more is not worth the effort.
        let drained = match req.extract::<web::Payload>().await {
            Ok(mut payload) => {
                drain(&mut payload, DRAIN_MAX_BYTES - BODY_MAX_BYTES, self.body_deadline()).await
            }
            Err(_) => false,
        };
        Err(if drained { problem } else { problem.closing() })
    }

    /// A place for a request that wants to wait.
    pub(super) fn waits(&self, client: Client, wait: Duration) -> Result<Option<Taken>, Problem> {
        if wait.is_zero() {
            return Ok(None);
        }
        self.limits.waiting.take(client, self.tunables().waiting_per_client_max).map(Some)
    }

    /// A place for an event stream.
    pub(super) fn subscribes(&self, client: Client) -> Result<Taken, Problem> {
        self.limits.subscribers.take(client, self.tunables().subscribers_per_client_max)
    }

    /// Notes a request that may become a ticket.
    pub(super) fn asks(&self, client: Client, request: &AcquireRequest) -> Result<Option<Asked>, Problem> {
        if !self.locks.would_queue(request) {
            return Ok(None);
        }
        let max = self.tunables().tickets_per_client_max;
        self.limits.tickets.ask(client, max, self.locks.view(), request)
    }
}
