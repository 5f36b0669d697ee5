//! Tickets with which clients resume sessions: encrypted by us, kept by them.
//!
//! Every context derives keys of its own from the secrets and from what it
//! believes, so that a ticket is worth nothing in another context, and nothing
//! in the same one after its certificate, its CA or its list of revoked
//! certificates has changed.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aws_lc_rs::aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use aws_lc_rs::hkdf::{HKDF_SHA256, KeyType, Prk, Salt};
use rustls::server::ProducesTickets;
use zeroize::Zeroizing;

use crate::slot::Slot;

/// How long new tickets are made with one secret. It is kept as long again,
/// and then wiped.
const ROTATION: Duration = Duration::from_secs(6 * 3600);

const NAME_BYTES: usize = 16;
const KEY_BYTES: usize = 32;
/// A ticket with a chain of certificates of a client may be long; a longer one
/// is not ours.
const MAX_TICKET: usize = 64 * 1024;

/// What the keys of all contexts are derived from.
pub struct TicketSecrets(Slot<Secrets>);

struct Secrets {
    /// The first makes tickets, all open them.
    list: Vec<Secret>,
}

#[derive(Clone)]
struct Secret {
    bytes: Zeroizing<Vec<u8>>,
    /// `None`: somebody else says when it goes.
    since: Option<Instant>,
}

/// Why tickets cannot be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TicketSecretsError {
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    Random,
    /// There are none.
    #[error("expected at least one file with a secret")]
    None,
    /// Somebody might guess it.
    #[error("expected 32 to 4096 random bytes (openssl rand 80 > FILE), found {found}")]
    Length {
        /// Its place among the files.
        place: usize,
        /// In bytes.
        found: usize,
    },
}

impl TicketSecrets {
    /// Secrets that are made here, replaced after six hours and wiped after
    /// twelve.
    pub fn rotated() -> Result<Arc<TicketSecrets>, TicketSecretsError> {
        let secrets = Secrets { list: vec![Secret::random(Instant::now())?] };
        Ok(Arc::new(TicketSecrets(Slot::new(Arc::new(secrets)))))
    }

    /// Secrets that several processes share: the contents of files, the first
    /// for new tickets.
    pub fn shared(files: Vec<Vec<u8>>) -> Result<Arc<TicketSecrets>, TicketSecretsError> {
        Ok(Arc::new(TicketSecrets(Slot::new(Arc::new(Secrets::shared(files)?)))))
    }

    /// Other shared secrets from now on: tickets of those that are gone are
    /// worth nothing.
    pub fn share(&self, files: Vec<Vec<u8>>) -> Result<(), TicketSecretsError> {
        self.0.put(Arc::new(Secrets::shared(files)?));
        Ok(())
    }

    /// The secrets of `now`.
    fn at(&self, now: Instant) -> Arc<Secrets> {
        let secrets = self.0.get();
        let former = secrets.list.first();
        if former.is_some_and(|first| first.since.is_none_or(|since| now.saturating_duration_since(since) < ROTATION)) {
            return secrets;
        }
        // Without random numbers, tickets go on with the old secret: new
        // handshakes fail then anyway.
        let Ok(next) = Secret::random(now) else { return secrets };
        let next = Secrets { list: std::iter::once(next).chain(former.cloned()).collect() };
        // Two threads may come here at once: the first one's secret counts.
        self.0.replace(&secrets, Arc::new(next));
        self.0.get()
    }
}

/// [`TicketSecrets::rotated`], made when the first context wants tickets: the
/// first random number costs a tenth of a second, for entropy. Where the system
/// has none, there are no tickets.
impl Default for TicketSecrets {
    fn default() -> Self {
        TicketSecrets(Slot::new(Arc::new(Secrets { list: Vec::new() })))
    }
}

impl fmt::Debug for TicketSecrets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TicketSecrets").finish_non_exhaustive()
    }
}

impl Secrets {
    fn shared(files: Vec<Vec<u8>>) -> Result<Secrets, TicketSecretsError> {
        if files.is_empty() {
            return Err(TicketSecretsError::None);
        }
        let list = files.into_iter().map(|bytes| Secret { bytes: Zeroizing::new(bytes), since: None });
        let list: Vec<_> = list.collect();
        match list.iter().position(|secret| !(KEY_BYTES..=4096).contains(&secret.bytes.len())) {
            Some(place) => Err(TicketSecretsError::Length { place, found: list[place].bytes.len() }),
            None => Ok(Secrets { list }),
        }
    }
}

impl Secret {
    fn random(now: Instant) -> Result<Secret, TicketSecretsError> {
        let mut bytes = Zeroizing::new(vec![0; KEY_BYTES]);
        aws_lc_rs::rand::fill(&mut bytes).map_err(|_| TicketSecretsError::Random)?;
        Ok(Secret { bytes, since: Some(now) })
    }
}

/// The tickets of one context.
pub(crate) struct ContextTickets {
    secrets: Arc<TicketSecrets>,
    context: [u8; 32],
    /// What was derived last, and from which secrets.
    derived: Slot<Derived>,
}

struct Derived {
    from: Option<Arc<Secrets>>,
    keys: Vec<Key>,
}

struct Key {
    name: [u8; NAME_BYTES],
    cipher: LessSafeKey,
    since: Option<Instant>,
}

impl ContextTickets {
    pub fn new(secrets: Arc<TicketSecrets>, context: [u8; 32]) -> ContextTickets {
        // Now, and not in a worker's first handshake.
        secrets.at(Instant::now());
        ContextTickets { secrets, context, derived: Slot::new(Arc::new(Derived { from: None, keys: Vec::new() })) }
    }

    fn keys(&self, now: Instant) -> Arc<Derived> {
        let secrets = self.secrets.at(now);
        let derived = self.derived.get();
        if derived.from.as_ref().is_some_and(|from| Arc::ptr_eq(from, &secrets)) {
            return derived;
        }
        let keys = secrets.list.iter().filter_map(|secret| Key::derive(secret, &self.context)).collect();
        let fresh = Arc::new(Derived { from: Some(secrets), keys });
        self.derived.put(fresh.clone());
        fresh
    }

    fn seal(&self, plain: &[u8], now: Instant) -> Option<Vec<u8>> {
        let derived = self.keys(now);
        let key = derived.keys.first()?;
        let mut nonce = [0; NONCE_LEN];
        aws_lc_rs::rand::fill(&mut nonce).ok()?;
        let mut ticket = Vec::with_capacity(NAME_BYTES + NONCE_LEN + plain.len() + AES_256_GCM.tag_len());
        ticket.extend_from_slice(&key.name);
        ticket.extend_from_slice(&nonce);
        let mut sealed = plain.to_vec();
        let nonce = Nonce::assume_unique_for_key(nonce);
        key.cipher.seal_in_place_append_tag(nonce, Aad::from(key.name), &mut sealed).ok()?;
        ticket.extend_from_slice(&sealed);
        (ticket.len() <= MAX_TICKET).then_some(ticket)
    }

    fn open(&self, ticket: &[u8], now: Instant) -> Option<Vec<u8>> {
        let (name, rest) = ticket.split_at_checked(NAME_BYTES)?;
        let (nonce, sealed) = rest.split_at_checked(NONCE_LEN)?;
        if ticket.len() > MAX_TICKET {
            return None;
        }
        let derived = self.keys(now);
        // Names are no secret: they stand in every ticket.
        let key = derived.keys.iter().find(|key| key.name == name && key.opens_at(now))?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).ok()?;
        let mut plain = sealed.to_vec();
        let length = key.cipher.open_in_place(nonce, Aad::from(key.name), &mut plain).ok()?.len();
        plain.truncate(length);
        Some(plain)
    }
}

impl Key {
    fn opens_at(&self, now: Instant) -> bool {
        self.since.is_none_or(|since| now.saturating_duration_since(since) < 2 * ROTATION)
    }

    fn derive(secret: &Secret, context: &[u8; 32]) -> Option<Key> {
        let parent: Prk = Salt::new(HKDF_SHA256, b"sidegate session tickets").extract(&secret.bytes);
        let mut bytes = Zeroizing::new([0; NAME_BYTES + KEY_BYTES]);
        parent.expand(&[context.as_slice()], Length(NAME_BYTES + KEY_BYTES)).ok()?.fill(bytes.as_mut_slice()).ok()?;
        let mut name = [0; NAME_BYTES];
        name.copy_from_slice(&bytes[..NAME_BYTES]);
        let cipher = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &bytes[NAME_BYTES..]).ok()?);
        Some(Key { name, cipher, since: secret.since })
    }
}

struct Length(usize);

impl KeyType for Length {
    fn len(&self) -> usize {
        self.0
    }
}

impl ProducesTickets for ContextTickets {
    fn enabled(&self) -> bool {
        true
    }

    fn lifetime(&self) -> u32 {
        2 * ROTATION.as_secs() as u32
    }

    fn encrypt(&self, plain: &[u8]) -> Option<Vec<u8>> {
        self.seal(plain, Instant::now())
    }

    fn decrypt(&self, cipher: &[u8]) -> Option<Vec<u8>> {
        self.open(cipher, Instant::now())
    }
}

impl fmt::Debug for ContextTickets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ContextTickets").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tickets(secrets: &Arc<TicketSecrets>, context: u8) -> ContextTickets {
        ContextTickets::new(secrets.clone(), [context; 32])
    }

    #[test]
    fn a_ticket_opens_in_its_context_alone() {
        let secrets = TicketSecrets::rotated().unwrap();
        let now = Instant::now();
        let ticket = tickets(&secrets, 1).seal(b"session", now).unwrap();
        assert_eq!(tickets(&secrets, 1).open(&ticket, now).unwrap(), b"session");
        assert_eq!(tickets(&secrets, 2).open(&ticket, now), None);
        for place in 0..ticket.len() {
            let mut changed = ticket.clone();
            changed[place] ^= 1;
            assert_eq!(tickets(&secrets, 1).open(&changed, now), None, "byte {place}");
            assert_eq!(tickets(&secrets, 1).open(&ticket[..place], now), None, "cut at {place}");
        }
    }

    #[test]
    fn a_secret_makes_tickets_for_six_hours_and_opens_them_for_twelve() {
        let secrets = TicketSecrets::rotated().unwrap();
        let context = tickets(&secrets, 1);
        let start = Instant::now();
        let hours = |hours: u64| start + Duration::from_secs(hours * 3600 + 60);
        let first = context.seal(b"first", start).unwrap();
        assert_eq!(context.open(&first, hours(5)).unwrap(), b"first");
        let second = context.seal(b"second", hours(6)).unwrap();
        assert_ne!(first[..NAME_BYTES], second[..NAME_BYTES]);
        assert_eq!(context.open(&first, hours(7)).unwrap(), b"first");
        assert_eq!(context.open(&first, hours(13)), None);
        assert_eq!(context.open(&second, hours(13)).unwrap(), b"second");
        // Nobody came for long: the last secret is too old as well.
        assert_eq!(context.open(&second, hours(40)), None);
    }

    #[test]
    fn shared_secrets_open_the_tickets_of_other_processes() {
        let (old, new) = (vec![1; 48], vec![2; 80]);
        let one = tickets(&TicketSecrets::shared(vec![old.clone()]).unwrap(), 1);
        let other = TicketSecrets::shared(vec![new.clone(), old]).unwrap();
        let now = Instant::now();
        let ticket = one.seal(b"session", now).unwrap();
        assert_eq!(tickets(&other, 1).open(&ticket, now).unwrap(), b"session");
        let later = tickets(&other, 1).seal(b"later", now).unwrap();
        assert_eq!(one.open(&later, now), None);
        other.share(vec![new]).unwrap();
        assert_eq!(tickets(&other, 1).open(&ticket, now), None);
        assert_eq!(tickets(&other, 1).open(&later, now).unwrap(), b"later");
    }

    #[test]
    fn short_secrets_are_refused() {
        assert_eq!(TicketSecrets::shared(Vec::new()).unwrap_err(), TicketSecretsError::None);
        let found = TicketSecrets::shared(vec![vec![0; 32], vec![0; 31]]).unwrap_err();
        assert_eq!(found, TicketSecretsError::Length { place: 1, found: 31 });
    }
}
