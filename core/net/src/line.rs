//! Places for so many at a time, and a line of those who wait for one.

use std::cell::{Cell, RefCell};
use std::collections::VecDeque;
use std::future::poll_fn;
use std::rc::Rc;
use std::task::{Context, Poll, Waker};

/// Places on one worker; who comes first is served first.
#[derive(Debug, Default)]
pub struct Line {
    max: Cell<usize>,
    taken: Cell<usize>,
    waiting: RefCell<VecDeque<Rc<Waiter>>>,
}

/// A place that was asked for; given back when it is dropped.
#[derive(Debug)]
pub struct Place {
    line: Rc<Line>,
    /// `None`: it is there.
    waiter: Option<Rc<Waiter>>,
    /// Somebody else gives it back.
    spent: bool,
}

#[derive(Debug, Default)]
struct Waiter {
    called: Cell<bool>,
    waker: RefCell<Option<Waker>>,
}

impl Line {
    /// Asks for one of `max` places.
    pub fn ask(self: &Rc<Line>, max: usize) -> Place {
        self.max.set(max);
        self.call();
        let waiter = if self.taken.get() < max && self.waiting.borrow().is_empty() {
            self.taken.set(self.taken.get() + 1);
            None
        } else {
            let waiter = Rc::new(Waiter::default());
            self.waiting.borrow_mut().push_back(waiter.clone());
            Some(waiter)
        };
        Place { line: self.clone(), waiter, spent: false }
    }

    /// How many wait for a place.
    pub fn waiting(&self) -> usize {
        self.waiting.borrow().len()
    }

    /// Places that are taken.
    pub fn taken(&self) -> usize {
        self.taken.get()
    }

    fn give_back(&self, count: usize) {
        self.taken.set(self.taken.get().saturating_sub(count));
        self.call();
    }

    /// Gives free places to who waits.
    fn call(&self) {
        while self.taken.get() < self.max.get() {
            let Some(next) = self.waiting.borrow_mut().pop_front() else { return };
            self.taken.set(self.taken.get() + 1);
            next.called.set(true);
            let waker = next.waker.take();
            if let Some(waker) = waker {
                waker.wake();
            }
        }
    }
}

impl Place {
    /// Whether it is there.
    pub fn is_there(&self) -> bool {
        self.waiter.as_ref().is_none_or(|waiter| waiter.called.get())
    }

    /// Ready once it is.
    pub fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if self.is_there() {
            self.waiter = None;
            return Poll::Ready(());
        }
        if let Some(waiter) = &self.waiter {
            waiter.waker.replace(Some(cx.waker().clone()));
        }
        Poll::Pending
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if self.spent {
            return;
        }
        if self.is_there() {
            return self.line.give_back(1);
        }
        let mut waiting = self.line.waiting.borrow_mut();
        let own = self.waiter.as_ref();
        // Those who give up have mostly come first.
        if let Some(at) = waiting.iter().position(|other| own.is_some_and(|own| Rc::ptr_eq(own, other))) {
            waiting.remove(at);
        }
    }
}

/// So many steps in each turn of the worker's loop: between two turns,
/// whatever else is ready goes on.
#[derive(Debug, Default)]
pub struct Turns(Rc<Line>);

impl Turns {
    /// Waits for one of `max` steps of a turn.
    pub async fn step(&self, max: usize) {
        let begins = self.0.taken() == 0;
        let mut place = self.0.ask(max);
        if begins {
            // Tokio goes on with who yields once it has asked the kernel what
            // is ready.
            let line = self.0.clone();
            tokio::task::spawn_local(async move {
                while line.taken() > 0 {
                    tokio::task::yield_now().await;
                    line.give_back(line.taken());
                }
            });
        }
        poll_fn(|cx| place.poll(cx)).await;
        // It comes back with the turn, and not with the end of the step.
        place.spent = true;
    }
}

#[cfg(test)]
mod tests {
    use std::future::Future;
    use std::pin::pin;

    use super::*;

    fn is_ready(place: &mut Place) -> bool {
        place.poll(&mut Context::from_waker(Waker::noop())).is_ready()
    }

    #[test]
    fn places_go_to_who_came_first() {
        let line = Rc::new(Line::default());
        let (one, two) = (line.ask(2), line.ask(2));
        assert!(one.is_there() && two.is_there());
        let [mut three, four, mut five] = [2; 3].map(|max| line.ask(max));
        assert!(!is_ready(&mut three));
        assert_eq!((line.taken(), line.waiting()), (2, 3));
        drop(four);
        assert_eq!(line.waiting(), 2);
        drop(one);
        assert!(is_ready(&mut three) && !is_ready(&mut five));
        // One that was called and goes away before it knows.
        drop(two);
        assert!(five.is_there());
        let mut six = line.ask(2);
        assert!(!is_ready(&mut six));
        drop(five);
        assert!(is_ready(&mut six));
        drop((three, six));
        assert_eq!((line.taken(), line.waiting()), (0, 0));
    }

    #[test]
    fn more_or_fewer_places_hold_from_the_next_one_on() {
        let line = Rc::new(Line::default());
        let one = line.ask(1);
        let two = line.ask(1);
        let three = line.ask(2);
        assert!(one.is_there() && two.is_there() && !three.is_there());
        let four = line.ask(1);
        drop(one);
        assert!(!three.is_there(), "one is taken, of one");
        drop(two);
        assert!(three.is_there() && !four.is_there());
    }

    /// Runs `work` as a worker does.
    fn on_a_worker(work: impl Future<Output = ()>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        tokio::task::LocalSet::new().block_on(&runtime, work);
    }

    #[test]
    fn a_turn_has_so_many_steps_and_others_run_between_two() {
        on_a_worker(async {
            let turns = Rc::new(Turns::default());
            let log = Rc::new(RefCell::new(Vec::new()));
            let steps: Vec<_> = (0..10)
                .map(|step| {
                    let (turns, log) = (turns.clone(), log.clone());
                    tokio::task::spawn_local(async move {
                        turns.step(2).await;
                        log.borrow_mut().push(step);
                    })
                })
                .collect();
            let other = log.clone();
            let others = tokio::task::spawn_local(async move {
                for _ in 0..100 {
                    tokio::task::yield_now().await;
                    other.borrow_mut().push(100);
                }
            });
            for step in steps {
                step.await.unwrap();
            }
            others.abort();
            let log = log.borrow();
            let order: Vec<_> = log.iter().filter(|entry| **entry < 100).copied().collect();
            assert_eq!(order, (0..10).collect::<Vec<_>>());
            let most = log.split(|entry| *entry == 100).map(<[i32]>::len).max();
            assert!(most <= Some(2), "{log:?}");
        });
    }

    #[test]
    fn a_step_that_nobody_waits_for_any_more_is_no_loss() {
        on_a_worker(async {
            let turns = Turns::default();
            for _ in 0..5 {
                turns.step(1).await;
                let mut given_up = pin!(turns.step(1));
                poll_fn(|cx| {
                    assert!(given_up.as_mut().poll(cx).is_pending());
                    Poll::Ready(())
                })
                .await;
            }
        });
    }
}
