//! What a request needs.

use sidegate_api::StreamState;

use super::location::Found;
use super::provider::Provider;
use super::refusal::Refusal;
use crate::settings::{Object, Setting};

/// A tree of needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Requirement {
    None,
    /// A token of the provider of this name.
    Provider(Box<str>),
    Any(Vec<Requirement>),
    All(Vec<Requirement>),
    /// No token, or a good one.
    AllowMissing,
    AllowMissingOrFailed,
}

/// What became of each provider's tokens so far: each is verified once.
#[derive(Debug)]
pub(super) struct Checks(Vec<Option<Result<Vec<Found>, Refusal>>>);

impl Requirement {
    /// Reads a requirement; providers are those called `names`.
    pub(super) fn read(object: &Object<'_>, names: &[&str]) -> Requirement {
        if let Some(at) = object.get("provider_name") {
            return Requirement::provider(&at, names);
        }
        for (key, make) in [("requires_any", Requirement::Any as fn(Vec<_>) -> _), ("requires_all", Requirement::All)] {
            let Some(list) = object.get(key).and_then(|s| s.object()) else { continue };
            let Some(at) = list.get("requirements") else { continue };
            let of: Vec<_> = at.list().iter().filter_map(|s| Some(Requirement::read(&s.object()?, names))).collect();
            if of.is_empty() {
                at.error("expected at least one requirement, found none");
            }
            return make(of);
        }
        // Opening them reports what should not be in them.
        for (key, requirement) in [
            ("allow_missing", Requirement::AllowMissing),
            ("allow_missing_or_failed", Requirement::AllowMissingOrFailed),
        ] {
            if object.get(key).and_then(|s| s.object()).is_some() {
                return requirement;
            }
        }
        Requirement::None
    }

    fn provider(at: &Setting<'_>, names: &[&str]) -> Requirement {
        match at.text() {
            Some(name) if names.contains(&name) => Requirement::Provider(name.into()),
            Some(_) => {
                at.expected(format!("one of the providers ({})", names.join(", ")));
                Requirement::None
            }
            None => Requirement::None,
        }
    }

    /// Whether the request has what it needs.
    pub(super) fn check(
        &self,
        providers: &[Provider],
        stream: &StreamState,
        checks: &mut Checks,
    ) -> Result<(), Refusal> {
        match self {
            Requirement::None => Ok(()),
            Requirement::Provider(name) => match providers.iter().position(|provider| provider.name == *name) {
                Some(index) => checks.provider(index, providers, stream),
                // Names were checked when they were read.
                None => Err(Refusal::Missing),
            },
            Requirement::All(all) => all.iter().try_for_each(|one| one.check(providers, stream, checks)),
            Requirement::Any(any) => {
                let lenient =
                    |one: &&Requirement| matches!(one, Requirement::AllowMissing | Requirement::AllowMissingOrFailed);
                let strict: Vec<&Requirement> = any.iter().filter(|one| !lenient(one)).collect();
                if strict.is_empty() {
                    // Nobody beside them says whose tokens they mean: anybody's.
                    let own = any.iter().map(|one| one.check(providers, stream, checks));
                    return first_good(own).map_or(Ok(()), Err);
                }
                let Some(refusal) = first_good(strict.into_iter().map(|one| one.check(providers, stream, checks)))
                else {
                    return Ok(());
                };
                let allowed = any.iter().any(|one| match one {
                    Requirement::AllowMissingOrFailed => true,
                    Requirement::AllowMissing => refusal == Refusal::Missing,
                    _ => false,
                });
                if allowed { Ok(()) } else { Err(refusal) }
            }
            Requirement::AllowMissing | Requirement::AllowMissingOrFailed => {
                let each = (0..providers.len()).map(|index| checks.provider(index, providers, stream));
                match first_good(each) {
                    Some(refusal) if *self == Requirement::AllowMissing && refusal != Refusal::Missing => Err(refusal),
                    _ => Ok(()),
                }
            }
        }
    }
}

/// `None` if one of them is good; else what is best said: something about a
/// token that was there, rather than that there was none.
fn first_good(results: impl Iterator<Item = Result<(), Refusal>>) -> Option<Refusal> {
    let mut refusal = Refusal::Missing;
    for result in results {
        match result {
            Ok(()) => return None,
            // A token of another provider's is this one's least concern.
            Err(new) if matches!(refusal, Refusal::Missing | Refusal::UnknownKey) => {
                if new != Refusal::Missing {
                    refusal = new;
                }
            }
            Err(_) => {}
        }
    }
    Some(refusal)
}

impl Checks {
    pub(super) fn new(providers: usize) -> Checks {
        Checks(vec![None; providers])
    }

    fn provider(&mut self, index: usize, providers: &[Provider], stream: &StreamState) -> Result<(), Refusal> {
        let (Some(provider), Some(known)) = (providers.get(index), self.0.get_mut(index)) else {
            return Err(Refusal::Missing);
        };
        known.get_or_insert_with(|| provider.verify(stream)).as_ref().map(drop).map_err(|refusal| *refusal)
    }

    /// Tokens that were found good, with their providers.
    pub(super) fn verified<'a>(&'a self, providers: &'a [Provider]) -> impl Iterator<Item = (&'a Provider, &'a Found)> {
        let all = providers.iter().zip(&self.0);
        all.filter_map(|(provider, check)| Some((provider, check.as_ref()?.as_ref().ok()?)))
            .flat_map(|(provider, found)| found.iter().map(move |found| (provider, found)))
    }
}
