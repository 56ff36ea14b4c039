//! Tests of guesses: who is slowed down, and who is not.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tidewater_core::access::Role;

use super::*;
use crate::auth::key::{entropy, key_text};
use crate::auth::testing::{World, bearer};
use crate::auth::{Authenticator, Caller, CredentialSource, OAuthErrorKind, SignIn};
use crate::store::Change;

fn address(number: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::from_bits(0x0a00_0000 + number))
}

fn from(address: IpAddr) -> CredentialSource<'static> {
    CredentialSource { address: Some(address), ..CredentialSource::default() }
}

async fn send(server: &Authenticator, address: IpAddr, credential: &str) -> Result<Arc<Caller>, AuthError> {
    server.authenticate(Some(bearer(credential).as_bytes()), from(address)).await
}

/// Returns a well-formed key that was never issued.
fn made_up_key() -> String {
    key_text(&entropy().unwrap()).expose().clone()
}

/// Returns a well-formed key that differs from `key` only after its prefix.
fn guess_of(key: &str, number: u8) -> String {
    let bytes = URL_SAFE_NO_PAD.decode(&key[KEY_PREFIX.len()..]).unwrap();
    let mut random: [u8; 32] = bytes[..32].try_into().unwrap();
    random[31] ^= number | 1;
    random[30] ^= number;
    let guess = key_text(&random).expose().clone();
    assert_eq!(guess[..12], key[..12]);
    guess
}

fn is_slowed<T>(answer: &Result<T, AuthError>) -> bool {
    matches!(answer, Err(AuthError::TooManyGuesses { .. }))
}

async fn flood(server: &Authenticator, address: IpAddr, guesses: usize) -> usize {
    let mut slowed = 0;
    for _ in 0..guesses {
        slowed += usize::from(is_slowed(&send(server, address, &made_up_key()).await));
    }
    slowed
}

#[tokio::test]
async fn address_with_too_many_wrong_keys_gets_429_and_others_do_not() {
    let world = World::new("premium", &[]).await;
    let server = world.server();
    assert_eq!(flood(&server, address(1), 50).await, 30);
    let refused = send(&server, address(1), &made_up_key()).await.unwrap_err();
    assert!(matches!(refused, AuthError::TooManyGuesses { retry_after_s: 60 }), "{refused}");
    assert!(matches!(send(&server, address(2), &made_up_key()).await, Err(AuthError::UnknownKey)));
    world.advance(60_000);
    assert_eq!(flood(&server, address(1), 3).await, 2, "one more is free");
}

#[tokio::test]
async fn all_wrong_credentials_count_and_those_that_were_valid_once_do_not() {
    let world = World::new("premium", &[]).await;
    let (revoked, revoked_text) = world.key(Role::Writer, None).await;
    let (_, expired_text) = world.key(Role::Writer, Some(world.now_ms() + 1)).await;
    world.store.key_revoke(world.organisation.id, revoked.id, &Change::by_catalog(0)).await.unwrap();
    world.advance(1);
    let server = world.server();
    for credential in [&revoked_text, &expired_text, "none"].repeat(20) {
        assert!(!is_slowed(&send(&server, address(1), credential).await));
    }
    assert_eq!(flood(&server, address(1), 20).await, 0);
    let forged = "eyJhbGciOiJIUzI1NiJ9.e30.c2ln";
    for (number, wrong) in [&made_up_key(), "flx_short", "text", forged, "eyJhbGciOiJub25lIn0.e30."].iter().enumerate()
    {
        let address = address(100 + u32::try_from(number).unwrap());
        for _ in 0..20 {
            assert!(!is_slowed(&send(&server, address, wrong).await), "{wrong}");
        }
        assert!(is_slowed(&send(&server, address, wrong).await), "{wrong}");
    }
}

#[tokio::test]
async fn token_endpoint_slows_guesses_down_in_oauths_shape() {
    let world = World::new("premium", &[]).await;
    let server = world.server();
    let sign_in = async |secret: &str| {
        let body = format!("grant_type=client_credentials&client_secret={secret}");
        let request = SignIn {
            content_type: None,
            authorization: None,
            query: None,
            body: body.as_bytes(),
            source: from(address(1)),
        };
        server.sign_in(request).await.map(|_| ()).map_err(|error| error.kind)
    };
    for _ in 0..10 {
        assert_eq!(sign_in(&made_up_key()).await, Err(OAuthErrorKind::InvalidClient));
        assert_eq!(sign_in("guess").await, Err(OAuthErrorKind::InvalidClient));
    }
    for secret in [&made_up_key(), "guess"] {
        let kind = sign_in(secret).await.unwrap_err();
        assert!(matches!(kind, OAuthErrorKind::TooManyGuesses { .. }), "{kind:?}");
    }
    let (_, text) = world.key(Role::Writer, None).await;
    assert_eq!(sign_in(&text).await, Ok(()), "a right key gets its turn");
}

#[tokio::test]
async fn clients_beside_an_attacker_get_in() {
    let world = World::new("premium", &[]).await;
    let (_, used) = world.key(Role::Writer, None).await;
    let (_, unused) = world.key(Role::Writer, None).await;
    let server = world.server();
    send(&server, address(2), &used).await.unwrap();
    let body = format!("grant_type=client_credentials&client_secret={used}");
    let request = SignIn {
        content_type: None,
        authorization: None,
        query: None,
        body: body.as_bytes(),
        source: from(address(2)),
    };
    let token = server.sign_in(request).await.unwrap().access_token.expose().clone();
    // More than all turns of the address.
    let guesses = flood(&server, address(1), 120).await;
    assert_eq!(guesses, 100);
    for _ in 0..200 {
        send(&server, address(1), &used).await.expect("a key that was valid before needs no turn");
        send(&server, address(1), &token).await.expect("nor does a token");
    }
    send(&server, address(1), &unused).await.expect("another key waits for its turn");
}

#[tokio::test]
async fn guessing_one_key_from_many_addresses_is_slowed_and_its_holder_is_not() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Writer, None).await;
    let server = world.server();
    send(&server, address(0), &text).await.unwrap();
    for number in 1..=30 {
        let wrong = send(&server, address(number), &guess_of(&text, number.try_into().unwrap())).await;
        assert!(matches!(wrong, Err(AuthError::UnknownKey)), "each address has one guess");
    }
    for number in 1..=30 {
        assert!(is_slowed(&send(&server, address(number), &guess_of(&text, 99)).await), "no second one");
        assert!(is_slowed(&send(&server, address(number), &text).await), "not even if it is right");
    }
    let other = world.key(Role::Writer, None).await.1;
    send(&server, address(1), &other).await.expect("keys with other prefixes are not slowed");
    for number in [0, 31, 32] {
        send(&server, address(number), &text).await.expect("the holder gets in from every other address");
    }
    world.advance(60_000);
    send(&server, address(1), &text).await.expect("the wait has an end");
}

#[tokio::test]
async fn cut_off_key_does_not_lock_out_the_whole_key() {
    let world = World::new("premium", &[]).await;
    let (_, text) = world.key(Role::Writer, None).await;
    let server = world.server();
    let mut mistyped = text.clone();
    mistyped.pop();
    mistyped.push(if text.ends_with('A') { 'B' } else { 'A' });
    for _ in 0..55 {
        assert!(send(&server, address(1), &text[..51]).await.is_err());
        assert!(send(&server, address(1), &mistyped).await.is_err());
    }
    send(&server, address(1), &text).await.unwrap();
}

#[tokio::test]
async fn addresses_of_one_ipv6_network_count_together() {
    let world = World::new("premium", &[]).await;
    let server = world.server();
    let mut slowed = 0;
    for host in 0..50_u32 {
        let address: IpAddr = format!("2001:db8:1:2::{host:x}").parse().unwrap();
        slowed += flood(&server, address, 1).await;
    }
    assert_eq!(slowed, 30);
    assert_eq!(flood(&server, "2001:db8:1:3::1".parse().unwrap(), 1).await, 0);
}

#[tokio::test]
async fn connection_waits_for_one_turn_at_a_time() {
    let guesses = Guesses::new(Clock::Manual(Arc::default()));
    let attempt = Attempt::new(address(1), made_up_key().as_bytes());
    for _ in 0..TURNS_PER_SECOND {
        guesses.wait_for_turn(&attempt, None).await.unwrap();
    }
    let last = AtomicBool::new(false);
    let mut first = std::pin::pin!(guesses.wait_for_turn(&attempt, Some(&last)));
    assert!(futures_util::poll!(first.as_mut()).is_pending(), "all turns of this second are taken");
    assert!(is_slowed(&guesses.wait_for_turn(&attempt, Some(&last)).await));
    first.await.unwrap();
    guesses.wait_for_turn(&attempt, Some(&last)).await.unwrap();
    let other = Attempt::new(address(2), made_up_key().as_bytes());
    guesses.wait_for_turn(&other, Some(&last)).await.unwrap();
}

#[tokio::test]
async fn turn_that_is_too_far_away_is_refused() {
    let guesses = Guesses::new(Clock::Manual(Arc::default()));
    let attempt = Attempt::new(address(1), made_up_key().as_bytes());
    let lasts: Vec<_> = (0..1_200).map(|_| AtomicBool::new(false)).collect();
    let mut waits: Vec<_> = lasts.iter().map(|last| Box::pin(guesses.wait_for_turn(&attempt, Some(last)))).collect();
    let mut refused = 0;
    for wait in &mut waits {
        refused += usize::from(matches!(futures_util::poll!(wait), std::task::Poll::Ready(Err(_))));
    }
    assert_eq!(refused, 100, "a hundred at once, and a thousand in ten seconds");
}

#[test]
fn log_has_one_line_in_ten_seconds() {
    let mut line = NextLine::default();
    let told: Vec<_> = (0..25_000).step_by(100).filter_map(|now_ms| line.count(now_ms)).collect();
    assert_eq!(told, [1, 100, 100]);
}

#[test]
fn made_up_addresses_and_prefixes_do_not_wash_a_record() {
    let now_ms = Arc::new(std::sync::atomic::AtomicI64::new(1_000));
    let guesses = Guesses::new(Clock::Manual(now_ms));
    let attacker = Attempt::new(address(1), made_up_key().as_bytes());
    for _ in 0..25 {
        guesses.refuse(&attacker, AuthError::UnknownKey);
    }
    for number in 2..300_000_u32 {
        let mut key = [b'a'; KEY_LEN];
        key[..4].copy_from_slice(b"flx_");
        key[4..8].copy_from_slice(&number.to_be_bytes());
        guesses.refuse(&Attempt::new(address(number), &key), AuthError::UnknownKey);
    }
    assert!(guesses.is_slowed(&attacker));
    let prefix = attacker.prefix.unwrap();
    assert!(PREFIX.wait_ms(guesses.prefixes.get(&prefix), guesses.now_ms()) > 0);
}
