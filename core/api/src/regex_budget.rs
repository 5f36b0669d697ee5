//! How much all regular expressions of one configuration may take.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use regex_automata::meta;
use regex_automata::util::syntax;

/// What is left for the regular expressions of one configuration, in bytes of
/// their compiled forms. Clones share one account: whoever compiles a pattern
/// pays first, so that neither memory nor time of a start grows with what a
/// file asks for.
#[derive(Debug, Clone)]
pub struct RegexBudget {
    left: Arc<AtomicUsize>,
}

/// A pattern that is not to be compiled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum RegexRefused {
    /// Alone too large.
    #[error(
        "expected a regular expression that takes at most {} MiB once compiled: shorten its repetitions, or write \
         [0-9A-Za-z_] for \\w",
        RegexBudget::EACH >> 20
    )]
    Large,
    /// Too large together with those before.
    #[error(
        "expected regular expressions that take at most {} MiB together once compiled, and this one would be over it: \
         shorten repetitions, or write [0-9A-Za-z_] for \\w",
        RegexBudget::TOTAL >> 20
    )]
    Spent,
}

impl RegexBudget {
    /// For all of a configuration.
    pub const TOTAL: usize = 64 << 20;
    /// For each; as the default of the `regex` crate.
    pub const EACH: usize = 10 << 20;

    /// Pays for `pattern`. One that is no regular expression costs nothing:
    /// compiling it says what is wrong.
    pub fn pay(&self, pattern: &str) -> Result<(), RegexRefused> {
        let left = self.left.load(Ordering::Relaxed);
        if left == 0 {
            return Err(RegexRefused::Spent);
        }
        let limit = left.min(Self::EACH);
        // Patterns over bytes may hold what is no UTF-8; for texts it is the
        // same size.
        let built = meta::Builder::new()
            .configure(meta::Config::new().nfa_size_limit(Some(limit)))
            .syntax(syntax::Config::new().utf8(false))
            .build(pattern);
        match built {
            Ok(regex) if regex.memory_usage() > left => {
                self.left.store(0, Ordering::Relaxed);
                Err(RegexRefused::Spent)
            }
            Ok(regex) => {
                self.left.fetch_sub(regex.memory_usage().min(left), Ordering::Relaxed);
                Ok(())
            }
            // Trying took as long as if it had succeeded.
            Err(error) if error.size_limit().is_some() => {
                self.left.fetch_sub(limit, Ordering::Relaxed);
                Err(if limit < Self::EACH { RegexRefused::Spent } else { RegexRefused::Large })
            }
            Err(_) => Ok(()),
        }
    }

    /// Pays so many bytes, for what was compiled for an earlier configuration
    /// and is used again: a file is refused or not whatever ran before it.
    pub fn pay_again(&self, bytes: usize) -> Result<(), RegexRefused> {
        let left = self.left.load(Ordering::Relaxed);
        self.left.store(left.saturating_sub(bytes), Ordering::Relaxed);
        if bytes > left { Err(RegexRefused::Spent) } else { Ok(()) }
    }

    /// In bytes.
    pub fn left(&self) -> usize {
        self.left.load(Ordering::Relaxed)
    }

    /// Fills the account for the next configuration: factories that go on hold
    /// it, and pay for the settings of routes from it.
    pub fn refill(&self) {
        self.left.store(Self::TOTAL, Ordering::Relaxed);
    }

    /// An account of its own with as much in it, for a trial whose result is
    /// dropped.
    pub fn trial(&self) -> RegexBudget {
        RegexBudget { left: Arc::new(AtomicUsize::new(self.left.load(Ordering::Relaxed))) }
    }
}

impl Default for RegexBudget {
    fn default() -> Self {
        RegexBudget { left: Arc::new(AtomicUsize::new(Self::TOTAL)) }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "tests fail by panicking")]
mod tests {
    use super::*;

    /// Some 1.5 MiB.
    const LARGE: &str = r"[a-z]{60000}";

    #[test]
    fn thousands_of_usual_patterns_are_affordable() {
        let budget = RegexBudget::default();
        for number in 0..2000 {
            budget.pay(&format!("^/api/v[0-9]+/users/{number}/.*$")).unwrap();
        }
        assert!(budget.left.load(Ordering::Relaxed) > RegexBudget::TOTAL / 4);
    }

    #[test]
    fn large_ones_are_refused_alone_and_together() {
        let budget = RegexBudget::default();
        assert_eq!(budget.pay(r"(\w{100}){100}"), Err(RegexRefused::Large));
        let paid = (0..1000).take_while(|_| budget.pay(LARGE).is_ok()).count();
        assert!((3..100).contains(&paid), "{paid}");
        assert_eq!(budget.pay("a"), Err(RegexRefused::Spent));
        assert!(RegexRefused::Spent.to_string().contains("at most 64 MiB together"));
    }

    #[test]
    fn what_is_no_pattern_is_for_who_compiles_it() {
        let budget = RegexBudget::default();
        budget.pay("(").unwrap();
        budget.pay(r"(?-u)\xff").unwrap();
        let trial = budget.trial();
        while trial.pay(LARGE).is_ok() {}
        budget.pay("a").unwrap();
    }
}
