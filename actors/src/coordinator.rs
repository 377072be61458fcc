//! The coordinator of one shard: makes queue actors on demand and puts idle ones to rest.
//!
//! Messages: [`Route`], [`Kill`]. It is asked only when a resource has no actor yet; from then on
//! commands go straight to the actor.

use crate::answer::Failure;
use crate::bound::Bound;
use crate::engine::{Client, Submission};
use crate::queue_actor::{QueueActor, Rest, Submit};
use crate::resident::Kill;
use crate::responder::Responder;
use crate::shared::{Registry, Shared};
use actix::prelude::*;
use lockkeeper_core::ResourceId;
use lockkeeper_telemetry::{Occupied, metrics};
use std::sync::Arc;
use std::time::Duration;

/// How often the coordinator looks whether too many actors are awake.
const REST_TICK: Duration = Duration::from_secs(1);
/// More actors than this in one shard, and those that were not used since the last look rest at
/// once: an actor costs some kilobytes, waking one a look into the store.
const AWAKE_MAX: usize = 1024;

/// Brings a command to its resource's actor, which is made if there is none.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Route {
    pub(crate) id: ResourceId,
    pub(crate) submission: Submission<Responder>,
}

/// One shard's coordinator.
pub(crate) struct Coordinator {
    shared: Arc<Shared>,
    registry: Arc<Registry>,
    _counted: Occupied,
}

impl Coordinator {
    pub(crate) fn new(shared: Arc<Shared>, shard: usize) -> Self {
        let registry = Arc::clone(&shared.registries[shard]);
        Self { shared, registry, _counted: metrics().actor("coordinator") }
    }

    fn actor_of(&self, id: ResourceId) -> Addr<QueueActor> {
        let mut actors = self.registry.actors.lock();
        if let Some(address) = actors.get(&id)
            && address.connected()
        {
            return address.clone();
        }
        let address = QueueActor::start(id, Arc::clone(&self.shared));
        actors.insert(id, address.clone());
        address
    }
}

impl Actor for Coordinator {
    type Context = Context<Self>;

    fn started(&mut self, ctx: &mut Self::Context) {
        let tick = REST_TICK.min(self.shared.options.rest_after);
        let ticks = self.shared.options.rest_after.as_millis().div_ceil(tick.as_millis().max(1));
        let mut passed = 0;
        ctx.run_interval(tick, move |coordinator, _| {
            passed += 1;
            let mut actors = coordinator.registry.actors.lock();
            actors.retain(|_, actor| actor.connected());
            if actors.len() <= AWAKE_MAX && passed < ticks {
                return;
            }
            passed = 0;
            let awake: Vec<Addr<QueueActor>> = actors.values().cloned().collect();
            drop(actors);
            for actor in awake {
                // A full mailbox is not idle; a closed one has left already.
                let _ = actor.try_send(Rest);
            }
        });
    }
}

impl Handler<Route> for Coordinator {
    type Result = ();

    fn handle(&mut self, Route { id, submission }: Route, _: &mut Self::Context) {
        if let Err(error) = self.actor_of(id).try_send(Submit(submission)) {
            let (SendError::Full(Submit(submission)) | SendError::Closed(Submit(submission))) = error;
            metrics().mailbox_full("queue");
            if let Some(client) = submission.client {
                let limit = self.shared.options.mailbox;
                client.answer(Err(Failure::Overloaded { what: Bound::ResourceMailbox, limit }));
            }
        }
    }
}

impl Handler<Kill> for Coordinator {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        kill.carry_out(ctx);
    }
}
