//! The rules of all resources, and a request's way through those of its own.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use sidegate_api::Counter;

use super::shaping::{Allowed, Pacer};
use super::window::{Ticket, Window};

/// What a rule asks of requests.
pub(super) enum Limit {
    /// So many at a time.
    Concurrency { active: AtomicU64, most: u64 },
    /// So many per interval; who comes too soon is refused.
    Rate { window: Window, interval: Duration, allowed: Allowed },
    /// So many per interval, at even distances; who comes too soon waits.
    Pace { window: Window, interval: Duration, allowed: Allowed, pacer: Pacer, patience: Duration },
}

/// A rule as it runs; all workers share it.
pub(super) struct Rule {
    /// Whose requests it judges.
    pub resource: Box<str>,
    /// Whose requests it counts, if not those.
    pub counts: Option<Box<str>>,
    pub limit: Limit,
    /// Requests that it refused.
    pub refused: Option<Counter>,
}

/// All rules of a filter.
#[derive(Default)]
pub(super) struct Rules {
    rules: Box<[Rule]>,
    resources: HashMap<Box<str>, usize>,
    /// By the numbers in `resources`.
    concerned: Vec<Concerned>,
}

/// Rules, by number, that have to do with one resource.
#[derive(Default)]
struct Concerned {
    /// They judge its requests, in order.
    judges: Vec<usize>,
    /// They judge another's, by how many of these pass.
    counters: Vec<usize>,
}

/// A request on its way through the rules of its resource. Dropping it ends
/// what counts for as long as the request lasts.
pub(super) struct Passage {
    rules: Arc<Rules>,
    resource: usize,
    /// So many judges let it pass.
    passed: usize,
    is_through: bool,
    /// What is taken back if a later judge refuses it; unused if there is but
    /// one.
    tickets: Vec<(usize, Ticket)>,
}

/// What becomes of it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    Pass,
    /// It goes on after this time.
    Wait(Duration),
    Refused,
}

enum Judged {
    Pass(Option<Ticket>),
    Wait(Duration),
    Refused,
}

impl Rules {
    pub(super) fn new(rules: Vec<Rule>) -> Arc<Rules> {
        let mut all = Rules::default();
        for (number, rule) in rules.iter().enumerate() {
            all.concerned(&rule.resource).judges.push(number);
            if let Some(counted) = &rule.counts {
                all.concerned(counted).counters.push(number);
            }
        }
        all.rules = rules.into();
        Arc::new(all)
    }

    /// Whether requests count for as long as they last.
    pub(super) fn count_in_progress(&self) -> bool {
        self.rules.iter().any(|rule| matches!(rule.limit, Limit::Concurrency { .. }))
    }

    fn concerned(&mut self, resource: &str) -> &mut Concerned {
        let at = *self.resources.entry(resource.into()).or_insert(self.concerned.len());
        if at == self.concerned.len() {
            self.concerned.push(Concerned::default());
        }
        &mut self.concerned[at]
    }

    /// The way of a request to `resource`, if any rule has to do with it.
    pub(super) fn enter(self: &Arc<Self>, resource: &str) -> Option<Passage> {
        let resource = *self.resources.get(resource)?;
        Some(Passage { rules: self.clone(), resource, passed: 0, is_through: false, tickets: Vec::new() })
    }

    #[cold]
    fn refused(&self, number: usize, tickets: &[(usize, Ticket)]) {
        if let Some(refused) = &self.rules[number].refused {
            refused.inc();
        }
        for &(number, ticket) in tickets {
            if let Limit::Rate { window, .. } = &self.rules[number].limit {
                window.take_back(ticket);
            }
        }
    }
}

impl Passage {
    /// From where it is on, at `now`: nanoseconds since the filter was made.
    pub(super) fn go_on(&mut self, now: u64) -> Verdict {
        let rules = &*self.rules;
        let concerned = &rules.concerned[self.resource];
        while let Some(&number) = concerned.judges.get(self.passed) {
            let judged = rules.rules[number].judge(now);
            if !matches!(judged, Judged::Refused) {
                self.passed += 1;
            }
            match judged {
                Judged::Pass(Some(ticket)) if concerned.judges.len() > 1 => self.tickets.push((number, ticket)),
                Judged::Pass(_) | Judged::Wait(Duration::ZERO) => {}
                Judged::Wait(wait) => return Verdict::Wait(wait),
                Judged::Refused => {
                    rules.refused(number, &self.tickets);
                    return Verdict::Refused;
                }
            }
        }
        for &number in &concerned.counters {
            rules.rules[number].count(now);
        }
        self.is_through = true;
        Verdict::Pass
    }
}

impl Drop for Passage {
    fn drop(&mut self) {
        let concerned = &self.rules.concerned[self.resource];
        let judges = concerned.judges.iter().take(self.passed).map(|&number| &self.rules.rules[number]);
        judges.filter(|rule| rule.counts.is_none()).for_each(Rule::leave);
        if self.is_through {
            concerned.counters.iter().for_each(|&number| self.rules.rules[number].leave());
        }
    }
}

impl Rule {
    fn judge(&self, now: u64) -> Judged {
        let counts_its_own = self.counts.is_none();
        match &self.limit {
            Limit::Concurrency { active, most } if counts_its_own => {
                let one_more = |active| (active < *most).then_some(active + 1);
                match active.fetch_update(Ordering::Relaxed, Ordering::Relaxed, one_more) {
                    Ok(_) => Judged::Pass(None),
                    Err(_) => Judged::Refused,
                }
            }
            Limit::Concurrency { active, most } => Judged::unless(active.load(Ordering::Relaxed) >= *most),
            Limit::Rate { window, interval, allowed } => {
                // Sentinel lets one pass if it is the n-th and n are allowed. A
                // cast to an integer saturates.
                let allowed = allowed.at(now, || per_second(window.before(now), *interval)) as u64;
                if counts_its_own {
                    return window.enter(now, allowed).map_or(Judged::Refused, |ticket| Judged::Pass(Some(ticket)));
                }
                Judged::unless(window.count(now) >= allowed)
            }
            Limit::Pace { window, interval, allowed, pacer, patience } => {
                let allowed = allowed.at(now, || per_second(window.before(now), *interval));
                if allowed < 1.0 {
                    return Judged::Refused;
                }
                let distance = (interval.as_nanos() as f64 / allowed).ceil() as u64;
                match pacer.place(now, distance, nanos(*patience)) {
                    Some(wait) => {
                        if counts_its_own {
                            self.count(now);
                        }
                        Judged::Wait(wait)
                    }
                    None => Judged::Refused,
                }
            }
        }
    }

    /// Counts a request whatever is allowed.
    fn count(&self, now: u64) {
        match &self.limit {
            Limit::Concurrency { active, .. } => drop(active.fetch_add(1, Ordering::Relaxed)),
            Limit::Rate { window, .. } => drop(window.enter(now, Window::MOST)),
            Limit::Pace { window, allowed: Allowed::WarmUp(_), .. } => drop(window.enter(now, Window::MOST)),
            Limit::Pace { .. } => {}
        }
    }

    /// The end of a request that was counted.
    fn leave(&self) {
        if let Limit::Concurrency { active, .. } = &self.limit {
            active.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl Judged {
    fn unless(refused: bool) -> Judged {
        if refused { Judged::Refused } else { Judged::Pass(None) }
    }
}

fn per_second(count: u64, interval: Duration) -> f64 {
    count as f64 / interval.as_secs_f64()
}

fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
