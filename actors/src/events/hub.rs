//! The event hub actor: feeds those who follow the log.
//!
//! Messages: [`Subscribe`]. It wakes when the log has grown, renders each event once, and gives it
//! to every subscriber whose filter takes it. A subscriber whose buffer is full is let go; it may
//! come back with the id of the last event it saw. If the hub dies the streams end, the log stays,
//! and the clients come back the same way.

use super::log::{EventLog, LoggedEvent, ResumeError};
use crate::resident::Kill;
use actix::prelude::*;
use lockkeeper_telemetry::{Occupied, metrics};
use std::sync::Arc;
use tokio::sync::mpsc;

/// Events a subscriber may fall behind before it is let go.
const SUBSCRIBER_BUFFER: usize = 1024;
/// Events read from the log at once.
const READ_MAX: usize = 512;

/// What a subscriber receives.
pub type Frame = Arc<LoggedEvent>;

/// Decides which events a subscriber gets.
pub(crate) type Filter = Arc<dyn Fn(&LoggedEvent) -> bool + Send + Sync>;

/// A place in the stream of events; it ends when the subscriber is let go.
pub struct Subscription {
    /// The events, in order.
    pub events: mpsc::Receiver<Frame>,
    _counted: Occupied,
}

/// Asks for the events after number `after`.
#[derive(Message)]
#[rtype(result = "Result<Subscription, SubscribeError>")]
pub(crate) struct Subscribe {
    pub(crate) after: u64,
    pub(crate) filter: Filter,
}

/// Why a subscription was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubscribeError {
    /// The place in the log is gone.
    #[error(transparent)]
    Resume(#[from] ResumeError),
    /// As many follow already as may.
    #[error("{0} clients follow events already, and no more may")]
    Full(usize),
}

struct Subscriber {
    after: u64,
    filter: Filter,
    events: mpsc::Sender<Frame>,
}

/// Feeds those who follow the event log.
pub struct EventHub {
    log: Arc<EventLog>,
    subscribers: Vec<Subscriber>,
    limit: usize,
    _counted: Occupied,
}

impl EventHub {
    pub(crate) fn new(log: Arc<EventLog>, limit: usize) -> Self {
        Self { log, subscribers: Vec::new(), limit, _counted: metrics().actor("event_hub") }
    }

    fn feed(&mut self) {
        let log = &self.log;
        self.subscribers.retain_mut(|subscriber| {
            loop {
                let Ok(events) = log.read_after(subscriber.after, READ_MAX) else {
                    metrics().event_subscriber_dropped();
                    return false;
                };
                if events.is_empty() {
                    return !subscriber.events.is_closed();
                }
                for event in events {
                    subscriber.after = event.sequence;
                    if !(subscriber.filter)(&event) {
                        continue;
                    }
                    match subscriber.events.try_send(event) {
                        Ok(()) => {}
                        Err(mpsc::error::TrySendError::Closed(_)) => return false,
                        Err(mpsc::error::TrySendError::Full(_)) => {
                            metrics().event_subscriber_dropped();
                            tracing::warn!("an event subscriber was too slow and was let go");
                            return false;
                        }
                    }
                }
            }
        });
    }

    fn wait(&self, ctx: &mut Context<Self>) {
        let log = Arc::clone(&self.log);
        let grown = async move { log.grown().await };
        ctx.spawn(grown.into_actor(self).map(|(), hub, ctx| {
            hub.feed();
            hub.wait(ctx);
        }));
    }
}

impl Actor for EventHub {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        self.wait(ctx);
    }
}

impl Handler<Subscribe> for EventHub {
    type Result = Result<Subscription, SubscribeError>;

    fn handle(&mut self, message: Subscribe, _: &mut Self::Context) -> Self::Result {
        self.subscribers.retain(|subscriber| !subscriber.events.is_closed());
        if self.subscribers.len() >= self.limit {
            return Err(SubscribeError::Full(self.limit));
        }
        self.log.read_after(message.after, 1)?;
        let (sender, receiver) = mpsc::channel(SUBSCRIBER_BUFFER);
        self.subscribers.push(Subscriber { after: message.after, filter: message.filter, events: sender });
        self.feed();
        Ok(Subscription { events: receiver, _counted: metrics().event_subscriber() })
    }
}

impl Handler<Kill> for EventHub {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
