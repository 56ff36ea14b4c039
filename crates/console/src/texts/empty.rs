//! The texts of empty lists.
#![allow(missing_docs, reason = "the text documents its constant")]

pub const NO_DEAD_LETTERS: &str = "There are no dead letters: every event was delivered, or is still being sent.";
pub const NO_EVENTS: &str = "No event matches.";
pub const NO_GRANTS: &str = "The role has no grants.";
pub const NO_MEMBERS: &str = "The role is assigned to no key or user.";
pub const NO_ORGANISATIONS: &str = "No organisation matches.";
pub const NO_PARTS: &str = "The server has no parts to report.";
pub const NO_PRINCIPALS: &str = "There are no keys or users.";
pub const NO_REQUESTS: &str = "No request was counted yet.";
pub const NO_ROLES: &str = "There are no roles yet.";
pub const NO_ROLE_MEMBERS: &str = "The role is assigned to no principal role.";
pub const NO_SLOW_REQUESTS: &str = "No request of the last hour was slow.";
pub const NO_STEPS: &str = "The test had no steps.";
pub const NO_SUBSCRIPTIONS: &str = "There are no subscriptions yet.";
pub const NO_TASKS: &str = "The server has no tasks in the background.";
pub const NO_USERS: &str = "No user has signed in with an identity provider yet.";
pub const NO_WAREHOUSES_YET: &str = "There are no warehouses yet.";
