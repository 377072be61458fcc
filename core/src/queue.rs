//! Who is next: strict priority classes, oldest first within one, and no class waits for ever.
//!
//! Each class's oldest ticket counts the grants to younger tickets (*overtakes*). At
//! [`AGING_BOUND`] it is *due* and goes next; of several due ones, the oldest. So of any 17
//! successive grants of a resource at least one goes to its oldest ticket.
//!
//! Nobody passes the ticket that is next: if it cannot be granted yet, everyone waits. Otherwise a
//! stream of shared locks would keep an exclusive one out for ever.

use crate::document::Document;
use crate::entry::Ticket;
use crate::id::Seq;
use crate::intent::{Mode, Priority};
use crate::rules::AGING_BOUND;
use crate::time::Timestamp;
use std::sync::Arc;

impl Document {
    /// The oldest ticket of each class, from the least to the most urgent.
    fn heads(&self) -> impl DoubleEndedIterator<Item = (usize, Seq)> {
        self.queue.iter().enumerate().filter_map(|(class, queue)| Some((class, *queue.first()?.0)))
    }

    fn due(&self) -> impl Iterator<Item = (usize, Seq)> {
        self.heads().filter(|(class, _)| self.header.passed[*class] >= AGING_BOUND)
    }

    /// The ticket that is next.
    #[must_use]
    pub fn next_ticket(&self) -> Option<&Arc<Ticket>> {
        let (class, seq) = self.due().min_by_key(|(_, seq)| *seq).or_else(|| self.heads().next_back())?;
        self.queue[class].get(&seq)
    }

    /// Would a newcomer of this priority be next, had it a ticket?
    pub(crate) fn would_be_next(&self, priority: Priority) -> bool {
        self.due().next().is_none() && self.queue[priority as usize..].iter().all(|class| class.is_empty())
    }

    /// May one more of this mode hold the resource now, regardless of who waits?
    pub(crate) fn has_room_for(&self, mode: Mode, now: Timestamp) -> bool {
        let room = match self.locks.first() {
            // Holders are all alike: one exclusive, or shared ones, or counted ones.
            Some((_, holder)) => mode.joins(holder.intent.mode, self.locks.len()),
            None => true,
        };
        room && now >= self.header.free_from
    }

    /// Counts a grant to entry `granted` against every oldest ticket that it overtook.
    pub(crate) fn count_overtakes(&mut self, granted: Seq) {
        let overtaken: Vec<usize> =
            self.heads().filter(|(_, head)| *head < granted).map(|(class, _)| class).collect();
        for class in overtaken {
            self.header.passed[class] = self.header.passed[class].saturating_add(1);
        }
    }

    /// A ticket's place as of now: 1 is next. O(log n).
    #[must_use]
    pub fn position(&self, ticket: &Ticket) -> usize {
        let own = ticket.intent.priority as usize;
        let is_due = |class: usize, seq: Seq| self.due().any(|due| due == (class, seq));
        if is_due(own, ticket.seq) {
            return 1 + self.due().filter(|(_, seq)| *seq < ticket.seq).count();
        }
        let above: usize = self.queue[own + 1..].iter().map(|class| class.len()).sum();
        let due_below = self.due().filter(|(class, _)| *class < own).count();
        above + due_below + self.queue[own].rank(&ticket.seq) + 1
    }

    /// The tickets in the order in which they would be granted if nobody else came or went.
    pub fn tickets(&self) -> impl Iterator<Item = &Arc<Ticket>> {
        let mut due: Vec<(usize, Seq)> = self.due().collect();
        due.sort_unstable_by_key(|(_, seq)| *seq);
        let first = due.clone().into_iter().filter_map(|(class, seq)| self.queue[class].get(&seq));
        let rest = self.queue.iter().rev().flat_map(|class| class.iter().map(|(_, ticket)| ticket));
        first.chain(rest.filter(move |ticket| !due.contains(&(ticket.intent.priority as usize, ticket.seq))))
    }

    /// The ticket that has waited longest.
    #[must_use]
    pub fn oldest_ticket(&self) -> Option<&Arc<Ticket>> {
        let (class, seq) = self.heads().min_by_key(|(_, seq)| *seq)?;
        self.queue[class].get(&seq)
    }
}
