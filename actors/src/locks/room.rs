//! Whether there is room for one more ticket.
//!
//! The view is asked, which follows what is durable: requests that are decided at the same moment
//! may exceed a limit together, by no more than their number. What is a rule of locking (the length
//! of one resource's queue) is the core's, and exact.

use super::{AcquireRequest, Locks};
use crate::answer::Failure;
use lockkeeper_telemetry::metrics;

const MAX_TICKETS: &str = "queue.max-tickets";
const MAX_TICKETS_PER_NAMESPACE: &str = "queue.max-tickets-per-namespace";

impl Locks {
    /// Would this request make a ticket, as far as is known? One that finds the resource free would
    /// not, nor one whose owner has its lock or place there.
    #[must_use]
    pub fn would_queue(&self, request: &AcquireRequest) -> bool {
        if !request.queue {
            return false;
        }
        let Some(document) = self.view().get(request.resource.id()).filter(|document| document.is_live())
        else {
            return false;
        };
        !request.reentrant || document.entries_of(&request.intent.owner.id).next().is_none()
    }

    /// Is there room for the ticket that this request may need?
    pub(super) fn room_for(&self, request: &AcquireRequest) -> Result<(), Failure> {
        let tunables = self.shared().tunables();
        let full = |limit, value| {
            metrics().limit_refused(limit);
            Err(Failure::QueueFull { limit, value })
        };
        let view = self.view();
        // Looked at only when a limit is near: most requests never come to this.
        if view.waiting() >= tunables.tickets_max && self.would_queue(request) {
            return full(MAX_TICKETS, tunables.tickets_max);
        }
        let resource = &request.resource;
        match tunables.tickets_per_namespace_max {
            Some(max)
                if view.waiting_in(&resource.host, &resource.namespace) >= max.get()
                    && self.would_queue(request) =>
            {
                full(MAX_TICKETS_PER_NAMESPACE, max.get())
            }
            _ => Ok(()),
        }
    }
}
