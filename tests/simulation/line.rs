//! A connection between a client and an engine.

use lockkeeper_actors::engine::Client;
use lockkeeper_actors::{Answer, Failure};
use std::cell::RefCell;
use std::rc::Rc;

#[derive(Default)]
struct State {
    closed: bool,
    answer: Option<Result<Answer, Failure>>,
}

/// Both ends of a connection; the engine holds one, the simulation the other.
#[derive(Clone, Default)]
pub(super) struct Line(Rc<RefCell<State>>);

impl Line {
    pub(super) fn close(&self) {
        self.0.borrow_mut().closed = true;
    }

    /// What the engine answered, once.
    pub(super) fn take_answer(&self) -> Option<Result<Answer, Failure>> {
        self.0.borrow_mut().answer.take()
    }
}

impl Client for Line {
    fn is_connected(&self) -> bool {
        !self.0.borrow().closed
    }

    fn answer(self, answer: Result<Answer, Failure>) -> bool {
        let mut state = self.0.borrow_mut();
        assert!(state.answer.is_none(), "a client is answered twice");
        if !state.closed {
            state.answer = Some(answer);
        }
        !state.closed
    }
}
