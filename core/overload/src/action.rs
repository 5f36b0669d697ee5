//! What is done about pressure, and from where on.

/// One kind of relief, in the order in which they begin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Action {
    /// Close connections that carry no request, oldest first.
    CloseIdle,
    /// Give back memory that is kept for speed.
    ShrinkBuffers,
    /// Reset the streams that hold most bytes, and let no other hold many.
    ResetStreams,
    /// Leave new connections in the queues of their sockets.
    StopAccepting,
    /// Answer new streams with 503.
    RefuseStreams,
}

impl Action {
    /// All of them, in order.
    pub const ALL: [Action; 5] =
        [Action::CloseIdle, Action::ShrinkBuffers, Action::ResetStreams, Action::StopAccepting, Action::RefuseStreams];

    /// As in configuration, metrics and logs.
    pub fn name(self) -> &'static str {
        match self {
            Action::CloseIdle => "close_idle",
            Action::ShrinkBuffers => "shrink_buffers",
            Action::ResetStreams => "reset_streams",
            Action::StopAccepting => "stop_accepting",
            Action::RefuseStreams => "refuse_streams",
        }
    }

    pub(crate) fn bit(self) -> u32 {
        1 << self as u32
    }
}

/// Pressure, in percent of a limit, from which on each action runs; 0: never.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Thresholds([u8; 5]);

impl Thresholds {
    /// In the order of [`Action::ALL`].
    pub fn new(percents: [u8; 5]) -> Self {
        Thresholds(percents.map(|percent| percent.min(100)))
    }

    /// Where `action` begins; `None`: never.
    pub fn begin(&self, action: Action) -> Option<u8> {
        Some(self.0[action as usize]).filter(|percent| *percent > 0)
    }

    /// The first action that would begin before one that stands in front of it,
    /// with that one.
    pub fn disorder(&self) -> Option<(Action, Action)> {
        let used: Vec<Action> = Action::ALL.into_iter().filter(|action| self.begin(*action).is_some()).collect();
        used.windows(2).find(|pair| self.begin(pair[1]) < self.begin(pair[0])).map(|pair| (pair[1], pair[0]))
    }
}

impl Default for Thresholds {
    fn default() -> Self {
        Thresholds([80, 85, 90, 95, 98])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_is_checked_over_the_actions_that_are_used() {
        assert_eq!(Thresholds::default().disorder(), None);
        assert_eq!(Thresholds::new([80, 0, 90, 95, 98]).disorder(), None);
        let swapped = Thresholds::new([80, 0, 70, 95, 98]);
        assert_eq!(swapped.disorder(), Some((Action::ResetStreams, Action::CloseIdle)));
    }
}
