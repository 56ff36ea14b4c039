//! The settings of deliveries of events to receivers over HTTP.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::proxies::TrustedProxies;

/// Settings of subscriptions and their deliveries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DeliveryConfig {
    /// Whether this server delivers events. Subscriptions can be managed anyway.
    pub enabled: bool,
    /// Whether receivers may have http URLs. The content is then readable on the way.
    pub allow_http: bool,
    /// Addresses and networks inside which receivers may be. All public addresses are allowed.
    pub allow_networks: TrustedProxies,
    /// The time-out of one request to a receiver, in seconds, up to 30.
    pub timeout_s: u64,
    /// The most subscriptions that are served at the same time.
    pub concurrency: usize,
    /// The most subscriptions of one organisation that are served at the same time.
    pub concurrency_per_organisation: usize,
    /// How often an event is sent while its receiver fails, before it becomes a dead letter.
    pub attempts: u32,
    /// How often an event is sent while its receiver refuses it, before it becomes a dead letter.
    pub rejections: u32,
    /// The longest pause between attempts, in seconds.
    pub longest_pause_s: u64,
    /// After how many seconds without a success a subscription is disabled.
    pub disable_after_s: u64,
    /// The most subscriptions of an organisation, and of the operators.
    pub subscriptions_per_organisation: u32,
    /// The most dead letters of a subscription. The oldest ones are removed.
    pub dead_letters_per_subscription: u32,
    /// For how many seconds a dead letter is kept.
    pub dead_letter_retention_s: u64,
}

impl Default for DeliveryConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            allow_http: false,
            allow_networks: TrustedProxies::default(),
            timeout_s: 10,
            concurrency: 32,
            concurrency_per_organisation: 4,
            attempts: 16,
            rejections: 5,
            longest_pause_s: 3_600,
            disable_after_s: 3 * 86_400,
            subscriptions_per_organisation: 100,
            dead_letters_per_subscription: 1_000,
            dead_letter_retention_s: 14 * 86_400,
        }
    }
}

impl DeliveryConfig {
    /// Returns [`Self::timeout_s`] as a duration within its bounds.
    #[must_use]
    pub fn timeout(&self) -> Duration {
        Duration::from_secs(self.timeout_s.clamp(1, 30))
    }

    /// Returns [`Self::longest_pause_s`] as a duration.
    #[must_use]
    pub const fn longest_pause(&self) -> Duration {
        Duration::from_secs(self.longest_pause_s)
    }
}
