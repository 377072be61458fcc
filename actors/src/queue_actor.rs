//! The queue actor: carries one resource's [`Engine`] between clients and the store.
//!
//! Messages: [`Submit`], [`EndWait`], [`Forget`], [`Rest`], [`Kill`]. All logic is in the engine and
//! the core; what is here only moves. A panic ends the actor: its waiting clients' channels close,
//! and their handles send the commands again to its successor.

use crate::engine::{Engine, InWork, Step, Submission, Surroundings};
use crate::events::Occurrence;
use crate::recorder;
use crate::resident::{Kill, is_ordered};
use crate::responder::Responder;
use crate::shared::Shared;
use crate::supervision::QUEUE;
use actix::prelude::*;
use futures_util::FutureExt;
use lockkeeper_core::{Delta, Document, ResourceId, Version};
use lockkeeper_store::{Committed, Loaded, Store, StoreError};
use lockkeeper_telemetry::{Occupied, metrics};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::sync::Arc;
use std::time::Duration;

/// How soon a copy that clients wait on, and that could not be read, is tried again.
const RELOAD_AFTER: Duration = Duration::from_millis(500);

/// A command for the resource.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Submit(pub(crate) Submission<Responder>);

/// A client has waited as long as it wanted to.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct EndWait {
    pub(crate) nonce: u64,
}

/// A client's connection went away.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Forget {
    pub(crate) nonce: u64,
}

/// Another instance has committed this.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Follow(pub(crate) Delta);

/// The store was seen to have this version.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct SeenInStore {
    pub(crate) version: Option<Version>,
}

/// Stop if nobody needs you.
#[derive(Message)]
#[rtype(result = "()")]
pub(crate) struct Rest;

/// One resource's queue on this instance.
pub(crate) struct QueueActor {
    id: ResourceId,
    shared: Arc<Shared>,
    engine: Engine<Responder>,
    used: bool,
    _counted: Occupied,
}

impl QueueActor {
    pub(crate) fn new(id: ResourceId, shared: Arc<Shared>) -> Self {
        let copy = shared.view.get(id).map(|copy| (*copy).clone());
        let mut engine = Engine::new(id, copy);
        if shared.store.shared().is_some() {
            engine = engine.shared();
            // The view follows everything, once it was read: what it has not is most likely absent.
            if shared.replica.get(id.partition()).generation.is_some() {
                engine = engine.assuming_absent();
            }
        }
        if shared.options.chaos {
            let faults = Arc::clone(&shared.faults);
            engine = engine.before_deciding(move || faults.decide(id));
        }
        Self { id, engine, used: true, shared, _counted: metrics().actor(QUEUE) }
    }

    /// Starts the actor of a resource on this thread.
    pub(crate) fn start(id: ResourceId, shared: Arc<Shared>) -> Addr<Self> {
        let (sender, receiver) = actix::dev::channel::channel(shared.options.mailbox);
        let lives = {
            let shared = Arc::clone(&shared);
            async move { Context::with_receiver(receiver).into_future(Self::new(id, shared)).await }
        };
        actix_rt::spawn(async move {
            if let Err(panic) = AssertUnwindSafe(lives).catch_unwind().await {
                // One that its own net did not catch.
                let (supervision, now) = (&shared.supervision, shared.store.now());
                if is_ordered(&*panic) {
                    supervision.killed(&shared.service, now);
                } else {
                    supervision.panicked(id, &InWork::default(), &shared.service, now);
                }
            }
        });
        Addr::new(sender)
    }

    /// Runs a piece of work; a panic ends this actor and nothing else.
    fn guarded(&mut self, ctx: &mut Context<Self>, work: impl FnOnce(&mut Self, &mut Context<Self>)) {
        self.used = true;
        if catch_unwind(AssertUnwindSafe(|| work(self, ctx))).is_err() {
            tracing::error!(resource = %self.id, "a queue actor panicked; its successor starts from the store");
            let shared = &self.shared;
            shared.supervision.panicked(self.id, &self.engine.in_work(), &shared.service, shared.store.now());
            self.leave();
            ctx.terminate();
        }
    }

    fn leave(&self) {
        self.shared.registry(self.id).actors.lock().remove(&self.id);
    }

    fn step(&mut self, ctx: &mut Context<Self>) {
        let around = Surroundings {
            now: self.shared.store.now_in(self.id.partition()),
            opened_at: self.shared.opened_at(),
            granting: self.shared.is_switched_on(),
            rules: &self.shared.options.rules,
            known: self.shared.store.known(self.id.partition()),
            lost_before: self.shared.replica.get(self.id.partition()).lost_before,
        };
        self.engine.decide_one_by_one(self.shared.supervision.is_troubled(self.id));
        match self.engine.step(around) {
            Step::Idle => {}
            Step::Load => {
                let store = Arc::clone(&self.shared.store);
                let (id, shared) = (self.id, Arc::clone(&self.shared));
                let work = async move { load(&shared, &*store, id).await };
                ctx.spawn(AssertUnwindSafe(work).catch_unwind().into_actor(self).map(
                    |result, actor, ctx| {
                        actor.guarded(ctx, |actor, ctx| {
                            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
                            let failed = result.is_err();
                            let now = actor.shared.store.now_in(actor.id.partition());
                            actor.engine.loaded(result, now);
                            actor.reconcile();
                            if failed {
                                actor.reload_later(ctx);
                            }
                            actor.step(ctx);
                        });
                    },
                ));
            }
            Step::Commit(commit) => {
                let store = Arc::clone(&self.shared.store);
                let begun = std::time::Instant::now();
                let work = async move { store.commit(*commit).await };
                ctx.spawn(AssertUnwindSafe(work).catch_unwind().into_actor(self).map(
                    move |result, actor, ctx| {
                        actor.guarded(ctx, |actor, ctx| {
                            let result = result.unwrap_or_else(|panic| resume_unwind(panic));
                            recorder::commit(actor.shared.store.name(), &result, begun.elapsed());
                            actor.committed(result);
                            actor.reconcile();
                            actor.step(ctx);
                        });
                    },
                ));
            }
        }
    }

    fn reload_later(&mut self, ctx: &mut Context<Self>) {
        ctx.run_later(RELOAD_AFTER, |actor, ctx| {
            actor.guarded(ctx, |actor, ctx| {
                if actor.engine.wants_reload() {
                    actor.step(ctx);
                }
            });
        });
    }

    fn committed(&mut self, result: Result<Committed, StoreError>) {
        let (shared, id) = (&self.shared, self.id);
        let now = shared.store.now_in(id.partition());
        let before = self.engine.document().and_then(Document::version);
        self.engine.committed_then(result, now, |document, effects| {
            shared.view.publish(id, document, before);
            recorder::events(&effects.events, &shared.tally);
            if let Some(document) = document {
                shared.tokens.note(document.last_token());
            }
            shared.log.append(now, effects.events.iter().cloned().map(Occurrence::Entry));
        });
    }

    /// The view and the calendar follow the engine's copy.
    fn reconcile(&mut self) {
        if !self.engine.take_moved() {
            return;
        }
        // What could not be read is not gone: the view keeps the last copy that was durable.
        if !self.engine.is_known() {
            return;
        }
        let document = self.engine.document();
        if document.is_some() || self.shared.store.shared().is_none() {
            self.shared.view.publish(self.id, document, None);
        }
    }
}

/// Reads the document. A shared store that lacks what this instance knows to be there, though its
/// partition seems open, is not believed: that is for the custodian to settle.
async fn load(shared: &Shared, store: &dyn Store, id: ResourceId) -> Result<Loaded, StoreError> {
    let copy = shared.view.get(id);
    let mut loaded = store.load(id).await?;
    if let (true, None, Some(copy)) = (store.shared().is_some(), &loaded.document, copy)
        && !copy.is_live()
    {
        // Deleted by another instance, since nobody needed it any more.
        shared.view.remove_copy(&copy);
    }
    if store.shared().is_none() || !contradicts(shared, id, &loaded) {
        return Ok(loaded);
    }
    // It may have been made while the look was under way.
    loaded = store.load(id).await?;
    if contradicts(shared, id, &loaded) {
        shared.replica.doubt(id.partition());
        return Err(StoreError::Sealed(id.partition()));
    }
    Ok(loaded)
}

fn contradicts(shared: &Shared, id: ResourceId, loaded: &Loaded) -> bool {
    let Some(copy) = shared.view.get(id).filter(|copy| copy.is_live()) else { return false };
    match &loaded.document {
        None => true,
        // Since it was opened, versions of this generation are the truth.
        Some(there) => {
            copy.version() > Some(there.version)
                && copy
                    .version()
                    .is_some_and(|version| version.generation < shared.store.known(id.partition()).generation)
        }
    }
}

impl Actor for QueueActor {
    type Context = Context<Self>;
}

impl Handler<Submit> for QueueActor {
    type Result = ();

    fn handle(&mut self, Submit(submission): Submit, ctx: &mut Self::Context) {
        self.guarded(ctx, |actor, ctx| {
            actor.engine.submit(submission);
            actor.step(ctx);
        });
    }
}

impl Handler<EndWait> for QueueActor {
    type Result = ();

    fn handle(&mut self, EndWait { nonce }: EndWait, ctx: &mut Self::Context) {
        self.guarded(ctx, |actor, ctx| {
            let now = actor.shared.store.now_in(actor.id.partition());
            actor.engine.end_wait(nonce, now);
            actor.step(ctx);
        });
    }
}

impl Handler<Forget> for QueueActor {
    type Result = ();

    fn handle(&mut self, Forget { nonce }: Forget, ctx: &mut Self::Context) {
        self.guarded(ctx, |actor, ctx| {
            actor.engine.forget(nonce);
            actor.step(ctx);
        });
    }
}

impl Handler<Follow> for QueueActor {
    type Result = ();

    fn handle(&mut self, Follow(delta): Follow, ctx: &mut Self::Context) {
        let used = self.used;
        self.guarded(ctx, |actor, ctx| {
            let now = actor.shared.store.now_in(actor.id.partition());
            actor.engine.follow(delta, now);
            actor.reconcile();
            actor.step(ctx);
        });
        // What others do keeps no actor awake that nobody needs here.
        self.used = used;
    }
}

impl Handler<SeenInStore> for QueueActor {
    type Result = ();

    fn handle(&mut self, SeenInStore { version }: SeenInStore, ctx: &mut Self::Context) {
        self.guarded(ctx, |actor, ctx| {
            actor.engine.seen_in_store(version);
            actor.step(ctx);
        });
    }
}

impl Handler<Rest> for QueueActor {
    type Result = ();

    fn handle(&mut self, _: Rest, ctx: &mut Self::Context) {
        if !self.engine.is_idle() || std::mem::take(&mut self.used) {
            return;
        }
        // Whoever looked it up before this sends into a closed mailbox, and asks the coordinator.
        self.leave();
        ctx.stop();
    }
}

impl Handler<Kill> for QueueActor {
    type Result = ();

    fn handle(&mut self, kill: Kill, ctx: &mut Self::Context) {
        if kill == Kill::Stop {
            self.shared.supervision.killed(&self.shared.service, self.shared.store.now());
        }
        // Not guarded: a test wants the whole of a panic.
        kill.carry_out(ctx);
    }
}
