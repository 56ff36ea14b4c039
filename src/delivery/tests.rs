//! Tests of deliveries with a real receiver that fails in many ways.

mod receiver;

use std::sync::Arc;
use std::time::Duration;

use tidewater_core::ids::OrganisationId;

use self::receiver::{Answer, Receiver};
use super::courier::consumer_name;
use super::{Sequencer, Webhooks, fresh_secret, secret_owner};
use crate::background::Runner;
use crate::base::clock::{Clock, fresh_uuid};
use crate::base::secret::Secret;
use crate::config::DeliveryConfig;
use crate::sealing::{KeySource, fresh_key};
use crate::store::{
    Change, Claim, EventFilter, FeedScope, Operation, Organisation, SecretUpdate, Store, Subscription,
    SubscriptionFilter, SubscriptionHealth, SubscriptionUpdate,
};

/// How long a test waits for something that happens.
const PATIENCE: Duration = Duration::from_secs(60);

/// A server with a store, and an organisation in it.
struct World {
    store: Arc<dyn Store>,
    keys: KeySource,
    acme: OrganisationId,
    _folder: Option<tempfile::TempDir>,
}

impl World {
    async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let store = crate::store::open(&folder.path().join("t.db")).unwrap();
        Self { _folder: Some(folder), ..Self::over(store).await }
    }

    async fn over(store: Arc<dyn Store>) -> Self {
        let acme = OrganisationId(fresh_uuid());
        let keys = KeySource::Text(fresh_key().unwrap());
        store.organisation_create(&Organisation::new(acme, "acme", "free", 0), &Change::by_catalog(0)).await.unwrap();
        Self { store, keys, acme, _folder: None }
    }

    /// Makes changes, which leave an event each with its time.
    async fn change(&self, times: impl IntoIterator<Item = i64>) {
        for at_ms in times {
            let tier = format!("tier-{at_ms}");
            self.store.organisation_set_tier(self.acme, &tier, &Change::by_catalog(at_ms)).await.unwrap();
        }
    }

    /// Starts the deliveries of a server.
    fn server(&self, change: impl FnOnce(&mut DeliveryConfig)) -> Server {
        self.server_on(&self.store, change)
    }

    /// Starts the deliveries of a server with a store of its own.
    fn server_on(&self, store: &Arc<dyn Store>, change: impl FnOnce(&mut DeliveryConfig)) -> Server {
        let mut config = DeliveryConfig {
            allow_http: true,
            allow_networks: serde_json::from_str(r#"["127.0.0.0/8"]"#).unwrap(),
            timeout_s: 1,
            longest_pause_s: 0,
            ..DeliveryConfig::default()
        };
        change(&mut config);
        let sequencer = Arc::new(Sequencer::new(Arc::clone(store), Clock::System, false));
        let runner = Runner::new(Clock::System, 1);
        runner.start(sequencer.task());
        let webhooks = Arc::new(Webhooks::new(Arc::clone(store), Clock::System, config, self.keys.clone(), sequencer));
        webhooks.tasks().into_iter().for_each(|task| runner.start(task));
        Server { webhooks, runner }
    }

    /// Stores a subscription to the changes of tiers. Returns it with its secret.
    async fn subscribe(&self, server: &Server, name: &str, url: &str) -> (Subscription, Secret<String>) {
        let (scope, id, secret) = (FeedScope::Organisation(self.acme), fresh_uuid(), fresh_secret().unwrap());
        let keys = self.keys.read().unwrap();
        let subscription = Subscription {
            id,
            scope,
            name: name.to_owned(),
            url: url.to_owned(),
            filter: SubscriptionFilter { operations: vec![Operation::SetTier], ..SubscriptionFilter::default() },
            sealed_secret: keys.seal(secret.expose().as_bytes(), &secret_owner(scope, id)).unwrap(),
            previous_secret: None,
            created_ms: 0,
            disabled_ms: None,
            health: SubscriptionHealth::default(),
        };
        self.store.subscription_create(&subscription, 9, &Change::by_catalog(0)).await.unwrap();
        server.webhooks.begin(&subscription).await.unwrap();
        (subscription, secret)
    }

    async fn subscription(&self, id: uuid::Uuid) -> Subscription {
        let all = self.store.subscription_list_all().await.unwrap();
        all.into_iter().find(|one| one.id == id).unwrap()
    }
}

struct Server {
    webhooks: Arc<Webhooks>,
    runner: Runner,
}

/// Waits until a condition holds.
async fn eventually(text: &str, condition: impl AsyncFn() -> bool) {
    let waiting = async {
        while !condition().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    assert!(tokio::time::timeout(PATIENCE, waiting).await.is_ok(), "not within {PATIENCE:?}: {text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_arrive_once_signed_and_in_order() {
    let world = World::new().await;
    world.change([1]).await;
    let receiver = Receiver::start(|_, _| Answer::Status(204)).await;
    let server = world.server(|_| {});
    let (subscription, secret) = world.subscribe(&server, "all", &receiver.url("/hook")).await;
    world.change(2..=60).await;
    eventually("all events", async || receiver.accepted().len() >= 59).await;
    assert_eq!(receiver.accepted(), (2..=60).collect::<Vec<_>>(), "without the change before the subscription");
    let request = receiver.requests().remove(0);
    assert_eq!(request.path, "/hook");
    assert_eq!(request.header("content-type"), "application/cloudevents+json; charset=utf-8");
    let (id, time) = (request.header("webhook-id"), request.header("webhook-timestamp"));
    assert_eq!(request.json()["id"], *id);
    let signed = super::signature::signature(&[secret], id, time.parse().unwrap(), request.body.as_bytes());
    assert_eq!(request.header("webhook-signature"), signed);
    eventually("the state", async || world.subscription(subscription.id).await.health.delivered_ms.is_some()).await;
    assert_eq!((server.webhooks.measures().sent.get(), server.webhooks.measures().failed.get()), (59, 0));
    server.webhooks.ping(&subscription).await.unwrap();
    assert_eq!(receiver.requests().last().unwrap().json()["type"], "io.tidewater.ping.v1");
    server.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_after_a_rotation_on_another_server_have_both_signatures() {
    let world = World::new().await;
    let receiver = Receiver::start(|_, _| Answer::Status(204)).await;
    let server = world.server(|_| {});
    let (subscription, _) = world.subscribe(&server, "all", &receiver.url("/")).await;
    world.change([1]).await;
    eventually("the first event", async || receiver.accepted() == [1]).await;
    // Without a note for this server's workers, which look for changes from time to time.
    let (scope, id, secret) = (subscription.scope, subscription.id, fresh_secret().unwrap());
    let sealed = world.keys.read().unwrap().seal(secret.expose().as_bytes(), &secret_owner(scope, id)).unwrap();
    let rotated =
        SubscriptionUpdate { secret: Some(SecretUpdate::Rotate { sealed, until_ms: i64::MAX }), ..Default::default() };
    let change = Change::by_catalog(2);
    world.store.subscription_update(scope, id, &rotated, Operation::RotateSubscription, &change).await.unwrap();
    world.change([3]).await;
    eventually("the second event", async || receiver.accepted() == [1, 3]).await;
    let signatures = receiver
        .requests()
        .iter()
        .map(|request| request.header("webhook-signature").split(' ').count())
        .collect::<Vec<_>>();
    assert_eq!(signatures, [1, 2]);
    server.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_lies_and_fails_gets_every_event_in_order() {
    let world = World::new().await;
    let other = Receiver::start(|_, _| Answer::Status(204)).await;
    let elsewhere = other.url("/stolen");
    let receiver = Receiver::start(move |number, _| match number {
        0 => Answer::Status(500),
        1 => Answer::Reset,
        2 => Answer::Silence,
        3 => Answer::Redirect(elsewhere.clone()),
        4 => Answer::Part,
        5 => Answer::Endless(503),
        6 => Answer::Status(404),
        // The rest is not read.
        7 => Answer::Endless(200),
        8 => Answer::Status(429),
        _ => Answer::Status(200),
    })
    .await;
    let server = world.server(|_| {});
    world.subscribe(&server, "all", &receiver.url("/")).await;
    world.change(1..=9).await;
    eventually("all events", async || receiver.accepted().len() >= 9).await;
    assert_eq!(receiver.accepted(), (1..=9).collect::<Vec<_>>());
    assert_eq!(other.requests().len(), 0, "redirects are not followed");
    let measures = server.webhooks.measures();
    assert_eq!((measures.sent.get(), measures.failed.get(), measures.dead.get()), (9, 8, 0));
    server.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn refused_event_becomes_a_dead_letter_and_is_replayed() {
    let world = World::new().await;
    let receiver = Receiver::start(|number, request| {
        let is_second = request.json()["time"] == "1970-01-01T00:00:00.002Z";
        if is_second && number < 8 { Answer::Status(422) } else { Answer::Status(200) }
    })
    .await;
    let server = world.server(|config| config.rejections = 3);
    let (subscription, _) = world.subscribe(&server, "all", &receiver.url("/")).await;
    world.change(1..=5).await;
    eventually("the others", async || receiver.accepted().len() >= 4).await;
    assert_eq!(receiver.accepted(), [1, 3, 4, 5]);
    let letters =
        async || world.store.dead_letter_list(subscription.scope, subscription.id, false, None, 9).await.unwrap();
    let found = letters().await;
    assert_eq!(found.len(), 1);
    assert!(found[0].reason.contains("422") && found[0].body.contains("1970-01-01T00:00:00.002Z"), "{found:?}");
    assert_eq!(server.webhooks.measures().dead.get(), 1);

    // It fails once more, and is accepted then.
    for is_left in [true, false] {
        let before = receiver.requests().len();
        world.store.dead_letter_replay(subscription.scope, subscription.id, None).await.unwrap();
        server.webhooks.note_change();
        eventually("the replay", async || receiver.requests().len() > before).await;
        eventually("its end", async || {
            let letters = letters().await;
            if is_left { !letters[0].replay } else { letters.is_empty() }
        })
        .await;
    }
    assert_eq!(receiver.accepted(), [1, 3, 4, 5, 2]);
    server.runner.stop(PATIENCE).await.unwrap();
}

/// A server whose tasks can be killed: nothing of it runs on, and nothing is released.
struct Killable {
    runtime: Option<tokio::runtime::Runtime>,
    server: Server,
}

impl Killable {
    fn start(world: &World, store: &Arc<dyn Store>, change: impl FnOnce(&mut DeliveryConfig)) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let server = {
            let _inside = runtime.enter();
            world.server_on(store, change)
        };
        Self { runtime: Some(runtime), server }
    }

    /// Ends its tasks wherever they are.
    fn kill(self) {
        drop(self);
    }
}

impl Drop for Killable {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Returns the events that a receiver accepted, in their order, each once.
fn accepted_first(receiver: &Receiver) -> Vec<i64> {
    let mut seen = std::collections::HashSet::new();
    receiver.accepted().into_iter().filter(|at_ms| seen.insert(*at_ms)).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_server_loses_nothing() {
    let world = World::new().await;
    let receiver = Receiver::start(|number, _| if number == 2 { Answer::Silence } else { Answer::Status(200) }).await;
    let killed = Killable::start(&world, &world.store, |config| config.timeout_s = 30);
    world.subscribe(&killed.server, "all", &receiver.url("/")).await;
    world.change(1..=3).await;
    eventually("the third request", async || receiver.requests().len() >= 3).await;
    killed.kill();
    let second = world.server(|_| {});
    world.change(4..=6).await;
    eventually("all events", async || (1..=6).all(|at_ms| receiver.accepted().contains(&at_ms))).await;
    assert_eq!(accepted_first(&receiver), [1, 2, 3, 4, 5, 6], "the first time in order, perhaps again later");
    second.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn other_server_continues_when_the_lease_of_a_killed_one_has_ended() {
    let schema = crate::store::TestSchema::create().await;
    let world = World::over(schema.open().await).await;
    let receiver = Receiver::start(|number, _| if number == 2 { Answer::Silence } else { Answer::Status(200) }).await;
    let owner = Killable::start(&world, &schema.open().await, |config| config.timeout_s = 30);
    world.subscribe(&owner.server, "all", &receiver.url("/")).await;
    world.change(1..=3).await;
    eventually("the third request", async || receiver.requests().len() >= 3).await;
    let standby = world.server(|_| {});
    let held_until = async || world.store.consumer_list().await.unwrap()[0].held_until_ms;
    let first_lease = held_until().await;
    world.change(4..=6).await;
    eventually("a longer lease during a request without an answer", async || held_until().await > first_lease).await;
    assert_eq!(receiver.requests().len(), 3, "the owner waits, and the other server does not send");

    owner.kill();
    let killed = std::time::Instant::now();
    eventually("the third event again", async || receiver.requests().len() > 3).await;
    let taken_over = killed.elapsed();
    eventually("all events", async || (1..=6).all(|at_ms| receiver.accepted().contains(&at_ms))).await;
    assert_eq!(accepted_first(&receiver), [1, 2, 3, 4, 5, 6], "the first time in order, perhaps again later");
    println!("taken over after {taken_over:.1?}");
    // Twice as long as promised, for a slow machine.
    assert!(taken_over < 2 * super::Pump::LEASE, "{taken_over:?}");
    standby.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn silent_receiver_does_not_delay_others() {
    let world = World::new().await;
    let silent = Receiver::start(|_, _| Answer::Silence).await;
    let good = Receiver::start(|_, _| Answer::Status(200)).await;
    let server = world.server(|config| config.timeout_s = 30);
    for name in ["a", "b"] {
        world.subscribe(&server, name, &silent.url("/")).await;
    }
    world.change([1]).await;
    eventually("the silent ones", async || silent.requests().len() == 2).await;
    world.subscribe(&server, "c", &good.url("/")).await;
    world.change(2..=20).await;
    eventually("the good one", async || good.accepted().len() == 19).await;
    assert_eq!(silent.requests().len(), 2, "one request at a time");
    server.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn receiver_that_fails_for_too_long_is_disabled_with_an_event() {
    let world = World::new().await;
    let receiver = Receiver::start(|_, _| Answer::Status(500)).await;
    let server = world.server(|config| config.disable_after_s = 0);
    let (subscription, _) = world.subscribe(&server, "all", &receiver.url("/")).await;
    world.change([1]).await;
    eventually("the end", async || world.subscription(subscription.id).await.disabled_ms.is_some()).await;
    let health = world.subscription(subscription.id).await.health;
    assert!(health.last_error.is_some_and(|error| error.contains("500")));
    let filter = EventFilter { operation: Some(Operation::DisableSubscription), ..EventFilter::default() };
    assert_eq!(world.store.event_list(Some(world.acme), &filter, None, 9).await.unwrap().events.len(), 1);
    server.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_sent_inside_the_network_unless_allowed() {
    let world = World::new().await;
    let receiver = Receiver::start(|_, _| Answer::Status(200)).await;
    let server = world.server(|config| config.allow_networks = serde_json::from_str("[]").unwrap());
    let by_name = receiver.url("/").replace("127.0.0.1", "localhost");
    for (at_ms, name, url) in [(1, "address", receiver.url("/")), (2, "name", by_name)] {
        let (subscription, _) = world.subscribe(&server, name, &url).await;
        world.change([at_ms]).await;
        eventually("the refusal", async || {
            let error = world.subscription(subscription.id).await.health.last_error.unwrap_or_default();
            error.contains("inside a network")
        })
        .await;
    }
    assert_eq!(receiver.requests().len(), 0);
    server.runner.stop(PATIENCE).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_of_two_servers_delivers_and_the_other_continues_after_its_stop() {
    let schema = crate::store::TestSchema::create().await;
    let world = World::over(schema.open().await).await;
    let receiver = Receiver::start(|_, _| Answer::Status(200)).await;
    let first = world.server(|_| {});
    world.subscribe(&first, "all", &receiver.url("/")).await;
    world.change([1]).await;
    eventually("the first event", async || receiver.accepted() == [1]).await;
    let second = world.server_on(&schema.open().await, |_| {});
    world.change(2..=40).await;
    eventually("all events", async || receiver.accepted().len() >= 40).await;
    // A server that is stopped before it has stored how far it came leaves the last events to be sent again.
    let consumer = async || world.store.consumer_list().await.unwrap().remove(0);
    let newest = world.store.feed_bounds(consumer().await.scope).await.unwrap().latest;
    eventually("the position", async || consumer().await.position == newest).await;
    first.runner.stop(PATIENCE).await.unwrap();
    world.change(41..=60).await;
    eventually("the rest", async || receiver.accepted().len() >= 60).await;
    second.runner.stop(PATIENCE).await.unwrap();
    assert_eq!(receiver.accepted(), (1..=60).collect::<Vec<_>>(), "each once");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn event_is_sent_although_its_next_attempt_was_stored_with_a_clock_days_ahead() {
    let world = World::new().await;
    let receiver = Receiver::start(|_, _| Answer::Status(204)).await;
    let off = world.server(|config| config.enabled = false);
    let (subscription, _) = world.subscribe(&off, "all", &receiver.url("/hook")).await;
    let (scope, name, holder) = (subscription.scope, consumer_name(subscription.id), fresh_uuid());
    let ahead_ms = Clock::System.now_ms() + 3 * 86_400_000;
    let held = world.store.consumer_claim(scope, &name, holder, Duration::from_secs(3 * 86_400)).await.unwrap();
    assert!(matches!(held, Claim::Held(_)));
    assert!(world.store.consumer_postpone(scope, &name, holder, 1, ahead_ms + 1_000).await.unwrap());
    world.change([1]).await;
    let _server = world.server(|_| {});
    eventually("the event", async || receiver.accepted() == [1]).await;
}
