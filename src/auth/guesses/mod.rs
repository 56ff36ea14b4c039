//! Slows down guesses of credentials: counts wrong ones by the client's address and by the key's prefix. Writes nothing.
//!
//! An address without wrong credentials has no limit. After some wrong ones, an address is answered 429 for further wrong ones, and
//! keys that the server does not know take turns to be checked. Keys that were valid before, and tokens with a valid signature,
//! need no turn: clients that share the address of an attacker keep working.
//!
//! A prefix has a limit only at addresses that sent a wrong key with this prefix. So nobody can lock out the holder of a key from
//! another address.

mod table;
#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tidewater_core::client_address::client_network;
use tidewater_core::guesses::{WrongLimit, is_remembered};
use tidewater_core::pace::Pace;

use crate::base::clock::{Clock, IntervalClock};

use super::error::AuthError;
use super::header::HeaderError;
use super::key::{KEY_LEN, KEY_PREFIX, looks_like_key};
use super::oidc::ProviderTokenError;
use super::token::TokenError;
use table::Table;

/// Wrong credentials of an address: 20, then one every 3 seconds.
const ADDRESS: WrongLimit = WrongLimit { free: 20, interval_ms: 3_000, max_wait_ms: 60_000 };

/// Wrong keys with the same prefix, from all addresses: 20, then two a minute.
const PREFIX: WrongLimit = WrongLimit { free: 20, interval_ms: 30_000, max_wait_ms: 60_000 };

/// How long an address is known to have sent a wrong key with a prefix, in milliseconds.
const PAIR_REMEMBERED_MS: i64 = 3_600_000;

/// The most unknown keys of an address with too many wrong credentials that are checked per second.
const TURNS_PER_SECOND: u32 = 100;

/// The longest wait for a turn, in microseconds.
const MAX_TURN_WAIT_US: u32 = 10_000_000;

/// The least time between two lines in the log, in milliseconds.
const LINE_INTERVAL_MS: i64 = 10_000;

/// The part of a key that counts as its prefix, in bytes after `flx_`: 48 of its 256 random bits.
const PREFIX_LEN: usize = 8;

/// The number of addresses, prefixes and their pairs that are counted. Each takes 16 bytes in each of four tables.
const ENTRIES: usize = 32_768;

/// A credential that a client presents.
#[derive(Debug, Clone, Copy)]
pub(super) struct Attempt {
    address: IpAddr,
    prefix: Option<[u8; PREFIX_LEN]>,
}

impl Attempt {
    /// Creates the attempt of a client with this credential.
    pub(super) fn new(address: IpAddr, credential: &[u8]) -> Self {
        let is_key = credential.len() == KEY_LEN && looks_like_key(credential);
        let prefix = is_key.then(|| credential[KEY_PREFIX.len()..].first_chunk().copied()).flatten();
        Self { address: client_network(address), prefix }
    }
}

/// Counts wrong credentials.
#[derive(Debug)]
pub(super) struct Guesses {
    clock: IntervalClock,
    addresses: Table,
    prefixes: Table,
    pairs: Table,
    turns: Table,
    pace: Pace,
    line: Mutex<NextLine>,
}

/// The next line in the log.
#[derive(Debug, Default)]
struct NextLine {
    /// The time from which it may be written.
    from_ms: i64,
    /// The wrong credentials that it reports.
    refused: u64,
}

impl NextLine {
    /// Counts a wrong credential. Returns their number since the last line, if it is time for the next one.
    fn count(&mut self, now_ms: i64) -> Option<u64> {
        self.refused += 1;
        if now_ms < self.from_ms {
            return None;
        }
        self.from_ms = now_ms.saturating_add(LINE_INTERVAL_MS);
        Some(std::mem::take(&mut self.refused))
    }
}

impl Guesses {
    pub(super) fn new(clock: Clock) -> Self {
        let table = || Table::new(ENTRIES);
        Self {
            clock: IntervalClock::new(clock),
            addresses: table(),
            prefixes: table(),
            pairs: table(),
            turns: table(),
            pace: Pace::new(TURNS_PER_SECOND, MAX_TURN_WAIT_US),
            line: Mutex::default(),
        }
    }

    fn now_ms(&self) -> i64 {
        i64::try_from(self.clock.now_ms()).unwrap_or(i64::MAX)
    }

    /// Checks that the attempt does not continue a series of guesses of one key.
    ///
    /// # Errors
    /// `TooManyGuesses` if there were too many wrong keys with its prefix, and one of them came from this address.
    pub(super) fn check_prefix(&self, attempt: &Attempt) -> Result<(), AuthError> {
        let Some(prefix) = attempt.prefix else { return Ok(()) };
        let now_ms = self.now_ms();
        if !is_remembered(self.pairs.get(&(attempt.address, prefix)), now_ms) {
            return Ok(());
        }
        match PREFIX.wait_ms(self.prefixes.get(&prefix), now_ms) {
            0 => Ok(()),
            wait_ms => Err(too_many(wait_ms)),
        }
    }

    /// Returns whether the address has sent too many wrong credentials.
    pub(super) fn is_slowed(&self, attempt: &Attempt) -> bool {
        ADDRESS.wait_ms(self.addresses.get(&attempt.address), self.now_ms()) > 0
    }

    /// Waits until an unknown key of a slowed address may be checked. Each connection waits once at a time (`is_waiting`), so that
    /// the connections of an address take turns.
    ///
    /// # Errors
    /// `TooManyGuesses` if the connection waits already, or the turn is too far away.
    pub(super) async fn wait_for_turn(
        &self,
        attempt: &Attempt,
        is_waiting: Option<&AtomicBool>,
    ) -> Result<(), AuthError> {
        let _waiting = match is_waiting.map(Waiting::begin) {
            Some(None) => return Err(self.too_many_of(attempt)),
            waiting => waiting.flatten(),
        };
        let now_us = self.now_ms().saturating_mul(1_000);
        let turn = self.turns.change(&attempt.address, |last_us| {
            let turn = self.pace.turn(last_us, now_us);
            (turn.map(|turn| turn.last_us), turn)
        });
        let turn = turn.ok_or_else(|| self.too_many_of(attempt))?;
        if turn.wait_us > 0 {
            tokio::time::sleep(Duration::from_micros(turn.wait_us)).await;
        }
        Ok(())
    }

    /// Counts a refused credential, if it may be a guess. Returns the answer: `TooManyGuesses` if its address sent too many.
    pub(super) fn refuse(&self, attempt: &Attempt, error: AuthError) -> AuthError {
        if !is_guess(&error) {
            return error;
        }
        if let (AuthError::UnknownKey, Some(prefix)) = (&error, attempt.prefix) {
            let now_ms = self.now_ms();
            self.prefixes.change(&prefix, |until_ms| (Some(PREFIX.add(until_ms, now_ms)), ()));
            let remembered_ms = now_ms.saturating_add(PAIR_REMEMBERED_MS);
            self.pairs.change(&(attempt.address, prefix), |_| (Some(remembered_ms), ()));
        }
        self.count_address(attempt).map_or(error, too_many)
    }

    /// Counts a wrong credential of an address. Returns how long the address must wait if there were too many before, in
    /// milliseconds.
    pub(super) fn count_address(&self, attempt: &Attempt) -> Option<u64> {
        let now_ms = self.now_ms();
        let wait_ms = self.addresses.change(&attempt.address, |until_ms| {
            let next_ms = ADDRESS.add(until_ms, now_ms);
            let is_over = ADDRESS.wait_ms(until_ms, now_ms) > 0;
            (Some(next_ms), is_over.then(|| ADDRESS.wait_ms(next_ms, now_ms)))
        })?;
        if let Some(refused) = self.line.lock().count(now_ms) {
            let last_address = attempt.address.to_string();
            tracing::warn!(
                refused,
                last_address,
                "too many wrong credentials: further ones of the address are answered 429"
            );
        }
        Some(wait_ms)
    }

    fn too_many_of(&self, attempt: &Attempt) -> AuthError {
        too_many(ADDRESS.wait_ms(self.addresses.get(&attempt.address), self.now_ms()))
    }
}

/// Returns the refusal of a client that must wait.
pub(super) fn too_many(wait_ms: u64) -> AuthError {
    AuthError::TooManyGuesses { retry_after_s: wait_ms.div_ceil(1_000).max(1) }
}

/// Returns whether an error says that the client does not know a valid credential. Credentials that were valid once are no guesses.
const fn is_guess(error: &AuthError) -> bool {
    matches!(
        error,
        AuthError::UnknownKey
            | AuthError::KeyFormat(_)
            | AuthError::Header(HeaderError::Neither)
            | AuthError::Token(
                TokenError::Malformed
                    | TokenError::Algorithm
                    | TokenError::UnknownSigner
                    | TokenError::Signature
                    | TokenError::NotForUs
            )
            // Not `UnknownKey`: the provider may have a new key, which the server has not read yet.
            | AuthError::Provider(
                ProviderTokenError::TooLong { .. }
                    | ProviderTokenError::Malformed(_)
                    | ProviderTokenError::Algorithm { .. }
                    | ProviderTokenError::UnknownIssuer(_)
                    | ProviderTokenError::Signature
            )
    )
}

/// Marks a connection that waits for a turn. A drop ends the wait.
struct Waiting<'a>(&'a AtomicBool);

impl<'a> Waiting<'a> {
    /// Returns `None` if the connection waits already.
    fn begin(is_waiting: &'a AtomicBool) -> Option<Self> {
        (!is_waiting.swap(true, Ordering::AcqRel)).then_some(Self(is_waiting))
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}
