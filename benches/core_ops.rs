//! The core alone: one command applied and its delta encoded, at several queue lengths.

use crate::table::{row, time, title};
use lockkeeper_core::command::{Acquire, Cancel, Poll, Release};
use lockkeeper_core::{
    Command, Context, Document, Intent, Mode, Nobody, Owner, Priority, Reply, Resource, ResourceInput, Rules,
    Seq, Span, Standing, Timestamp,
};
use std::sync::Arc;
use std::time::{Duration, Instant};

const ROUNDS: u32 = 20_000;

pub(crate) fn run() {
    title("Core: one command with its delta, by queue length");
    row("", &["1", "1,000", "100,000"].map(String::from));
    let lengths = [1, 1_000, 100_000];
    let columns: Vec<[Duration; 4]> = lengths.iter().map(|&length| measure(length)).collect();
    let names = ["acquire (enqueue)", "poll (position)", "release with handoff", "cancel from the middle"];
    for (place, name) in names.iter().enumerate() {
        let cells: Vec<String> = columns.iter().map(|column| time(column[place])).collect();
        row(name, &cells);
    }
}

struct Bench {
    document: Document,
    resource: Arc<Resource>,
    rules: Rules,
    now: Timestamp,
    owner: u64,
}

impl Bench {
    fn apply(&mut self, command: &Command) -> Reply {
        self.now = self.now + Span::from_micros(7);
        let ctx = Context {
            now: self.now,
            opened_at: Timestamp::ZERO,
            retried: false,
            granting: true,
            rules: &self.rules,
            presence: &Nobody,
        };
        // As a queue actor does it: on a copy, which is kept once the change is durable.
        let mut work = self.document.clone();
        let reply = work.apply(command, &ctx).expect("it is allowed");
        std::hint::black_box(work.finish(0));
        work.take_effects();
        self.document = work;
        reply
    }

    fn enqueue(&mut self) -> Seq {
        self.owner += 1;
        let intent = Arc::new(Intent {
            owner: Owner { id: format!("acme/infra#{}", self.owner).into(), user: None, pull: None },
            created_by: "anonymous".into(),
            mode: Mode::Exclusive,
            priority: Priority::Normal,
            ttl: Span::from_secs(1800),
            protected: false,
            attended: false,
            metadata: None,
            nonce: self.owner,
            requests: Arc::default(),
        });
        let resource = Arc::clone(&self.resource);
        let queue_timeout = Span::from_secs(36_000);
        let acquire =
            Acquire { resource, intent, reentrant: true, queue: true, queue_timeout, wait: Span::ZERO };
        match self.apply(&Command::Acquire(acquire)) {
            Reply::Standing(Standing::Queued { ticket, .. }) => ticket.seq,
            Reply::Standing(Standing::Acquired { lock, .. }) => lock.seq,
            other => panic!("{other:?}"),
        }
    }
}

fn measure(length: usize) -> [Duration; 4] {
    let input = ResourceInput { namespace: Some("acme/infra"), ..Default::default() };
    let resource = Arc::new(Resource::parse(&input, "").expect("a resource"));
    let rules = Rules { queue_max: 1_000_000, ..Rules::default() };
    let document = Document::new(Arc::clone(&resource), 0);
    let mut bench =
        Bench { document, resource, rules, now: Timestamp::from_millis(1_790_000_000_000), owner: 0 };
    bench.enqueue();
    let mut tickets: Vec<Seq> = (0..length).map(|_| bench.enqueue()).collect();

    let start = Instant::now();
    let added: Vec<Seq> = (0..ROUNDS).map(|_| bench.enqueue()).collect();
    let enqueue = start.elapsed() / ROUNDS;
    for (nonce, seq) in (1 << 40..).zip(added) {
        bench.apply(&Command::Cancel(Cancel { seq, nonce }));
    }

    let middle = tickets[length / 2];
    let start = Instant::now();
    for _ in 0..ROUNDS {
        bench.apply(&Command::Poll(Poll { seq: middle, wait: Span::ZERO }));
    }
    let poll = start.elapsed() / ROUNDS;

    let rounds = ROUNDS.min(length as u32);
    let mut cancel = Duration::ZERO;
    let mut handoff = Duration::ZERO;
    for round in 0..rounds {
        tickets.push(bench.enqueue());
        let (seq, token) = {
            let lock = bench.document.locks().next().expect("a holder");
            (lock.seq, lock.token)
        };
        let start = Instant::now();
        bench.apply(&Command::Release(Release { seq, token, touch: None, nonce: u64::from(round) + 1 }));
        handoff += start.elapsed();
        tickets.push(bench.enqueue());
        let victim = tickets[tickets.len() / 2 + round as usize / 2];
        let start = Instant::now();
        if bench.document.ticket(victim).is_some() {
            bench.apply(&Command::Cancel(Cancel { seq: victim, nonce: u64::from(round) + (1 << 41) }));
        }
        cancel += start.elapsed();
    }
    [enqueue, poll, handoff / rounds, cancel / rounds]
}
