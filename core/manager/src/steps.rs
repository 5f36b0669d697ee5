//! The order in which a change is made: everything that may fail comes before
//! anything that is seen, and what failed leaves everything as it was.
//!
//! ```text
//!  warm · bind · [close what overlaps · bind it again for others] · hand over · publish · accept · retire
//!  └──────────── a failure undoes what was done, newest first ─────────────────────────────┘
//! ```

use crate::sockets::SocketPlan;

/// What is done, one step at a time. Numbers are places in the lists that the
/// plan was made of: of those that run, or of those that are wanted.
pub(crate) trait Deeds {
    /// Why a step cannot be done.
    type Error: std::fmt::Display;

    /// Gets what new things need before they can serve: hosts of names, logs.
    async fn warm(&mut self) -> Result<(), Self::Error>;

    /// Binds a wanted socket; nobody is served on it yet.
    async fn bind(&mut self, wanted: usize) -> Result<(), Self::Error>;

    /// Closes a wanted socket that was bound, and maybe accepts.
    async fn unbind(&mut self, wanted: usize);

    /// Closes a running socket; who waits in its queue is still served.
    async fn close(&mut self, running: usize);

    /// Binds and serves a running socket again that was closed.
    async fn reopen(&mut self, running: usize) -> Result<(), Self::Error>;

    /// Lets new filters take over what former ones know.
    async fn hand_over(&mut self);

    /// Gives workers everything at once and waits until they have it.
    async fn publish(&mut self);

    /// Gives workers back what they had.
    async fn take_back(&mut self);

    /// Begins to serve on a socket that was bound.
    async fn accept(&mut self, wanted: usize) -> Result<(), Self::Error>;

    /// Lets a running socket that nobody wants go, with its connections in
    /// their time.
    async fn retire(&mut self, running: usize);
}

/// Goes the way of `plan`. An error says that everything is as before.
pub(crate) async fn carry_out<D: Deeds>(plan: &SocketPlan, deeds: &mut D) -> Result<(), D::Error> {
    deeds.warm().await?;
    let mut done = Done::default();
    match ready(plan, deeds, &mut done).await {
        Ok(()) => {}
        Err(error) => {
            done.undo(deeds).await;
            return Err(error);
        }
    }
    deeds.hand_over().await;
    deeds.publish().await;
    for wanted in done.bound.clone() {
        if let Err(error) = deeds.accept(wanted).await {
            deeds.take_back().await;
            done.undo(deeds).await;
            return Err(error);
        }
    }
    for running in plan.removed.iter().chain(&done.closed) {
        deeds.retire(*running).await;
    }
    Ok(())
}

/// Binds everything that is wanted. Those that others have to make room for
/// come last: nobody listens there meanwhile.
async fn ready<D: Deeds>(plan: &SocketPlan, deeds: &mut D, done: &mut Done) -> Result<(), D::Error> {
    for wanted in &plan.fresh {
        deeds.bind(*wanted).await?;
        done.bound.push(*wanted);
    }
    for group in &plan.moved {
        for running in &group.closed {
            deeds.close(*running).await;
            done.closed.push(*running);
        }
        for wanted in &group.bound {
            deeds.bind(*wanted).await?;
            done.bound.push(*wanted);
        }
    }
    Ok(())
}

/// What would have to be undone.
#[derive(Debug, Default)]
struct Done {
    bound: Vec<usize>,
    closed: Vec<usize>,
}

impl Done {
    async fn undo<D: Deeds>(self, deeds: &mut D) {
        for wanted in self.bound.into_iter().rev() {
            deeds.unbind(wanted).await;
        }
        for running in self.closed.into_iter().rev() {
            if let Err(error) = deeds.reopen(running).await {
                tracing::error!(%error, "a listener that made room for another cannot be opened again");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::{Kept, Moved};

    /// Writes down what it is told, and fails at one step.
    #[derive(Default)]
    struct Diary {
        lines: Vec<String>,
        fails_at: Option<String>,
    }

    impl Diary {
        fn note(&mut self, line: String) -> Result<(), String> {
            let fails = self.fails_at.as_ref() == Some(&line);
            self.lines.push(line.clone());
            if fails { Err(line) } else { Ok(()) }
        }
    }

    impl Deeds for Diary {
        type Error = String;

        async fn warm(&mut self) -> Result<(), String> {
            self.note("warm".into())
        }

        async fn bind(&mut self, wanted: usize) -> Result<(), String> {
            self.note(format!("bind {wanted}"))
        }

        async fn unbind(&mut self, wanted: usize) {
            self.lines.push(format!("unbind {wanted}"));
        }

        async fn close(&mut self, running: usize) {
            self.lines.push(format!("close {running}"));
        }

        async fn reopen(&mut self, running: usize) -> Result<(), String> {
            self.note(format!("reopen {running}"))
        }

        async fn hand_over(&mut self) {
            self.lines.push("hand over".into());
        }

        async fn publish(&mut self) {
            self.lines.push("publish".into());
        }

        async fn take_back(&mut self) {
            self.lines.push("take back".into());
        }

        async fn accept(&mut self, wanted: usize) -> Result<(), String> {
            self.note(format!("accept {wanted}"))
        }

        async fn retire(&mut self, running: usize) {
            self.lines.push(format!("retire {running}"));
        }
    }

    /// Of four that run, 0 stays, 1 and 2 make room, 3 goes; of four that are
    /// wanted, 0 stays, 1 is fresh, 2 and 3 take the room.
    fn plan() -> SocketPlan {
        SocketPlan {
            kept: vec![Kept { wanted: 0, running: 0 }],
            fresh: vec![1],
            moved: vec![Moved { closed: vec![1], bound: vec![2] }, Moved { closed: vec![2], bound: vec![3] }],
            removed: vec![3],
        }
    }

    fn diary(fails_at: Option<&str>) -> (Result<(), String>, Vec<String>) {
        let mut diary = Diary { lines: Vec::new(), fails_at: fails_at.map(str::to_owned) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let result = runtime.block_on(carry_out(&plan(), &mut diary));
        (result, diary.lines)
    }

    const PREPARED: [&str; 6] = ["warm", "bind 1", "close 1", "bind 2", "close 2", "bind 3"];
    const SEEN: [&str; 5] = ["hand over", "publish", "accept 1", "accept 2", "accept 3"];
    const UNDONE: [&str; 5] = ["unbind 3", "unbind 2", "unbind 1", "reopen 2", "reopen 1"];

    #[test]
    fn what_may_fail_comes_first_and_what_goes_comes_last() {
        let (result, lines) = diary(None);
        assert_eq!(result, Ok(()));
        let retired = ["retire 3", "retire 1", "retire 2"];
        assert_eq!(lines, [&PREPARED[..], &SEEN, &retired].concat());
    }

    #[test]
    fn a_failure_undoes_what_was_done_newest_first() {
        for (step, undone) in [
            ("warm", vec![]),
            ("bind 1", vec![]),
            ("bind 2", vec!["unbind 1", "reopen 1"]),
            ("bind 3", vec!["unbind 2", "unbind 1", "reopen 2", "reopen 1"]),
        ] {
            let (result, lines) = diary(Some(step));
            assert_eq!(result, Err(step.to_owned()));
            let at = PREPARED.iter().position(|line| *line == step).unwrap();
            assert_eq!(lines, [&PREPARED[..=at], &undone].concat(), "{step}");
        }
    }

    #[test]
    fn a_listener_that_cannot_accept_takes_everything_back() {
        for (count, step) in [(3, "accept 1"), (4, "accept 2"), (5, "accept 3")] {
            let (result, lines) = diary(Some(step));
            assert_eq!(result, Err(step.to_owned()));
            assert_eq!(lines, [&PREPARED[..], &SEEN[..count], &["take back"], &UNDONE].concat(), "{step}");
        }
    }

    #[test]
    fn one_that_cannot_be_opened_again_does_not_keep_others_closed() {
        let mut diary = Diary { lines: Vec::new(), fails_at: Some("reopen 2".into()) };
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let done = Done { bound: vec![3], closed: vec![1, 2] };
        runtime.block_on(done.undo(&mut diary));
        assert_eq!(diary.lines, ["unbind 3", "reopen 2", "reopen 1"]);
    }
}
