//! The texts of the pages for people and administration: access, keys, the identity provider, warehouses and events.
#![allow(missing_docs, reason = "the text documents its constant")]

pub const ACCEPTED: &str = "The receiver accepted the test.";
pub const ACCESS_SECTIONS: &str = "Sections of access";
pub const ASSIGNED_TO: &str = "Assigned to";
pub const ASSIGN_TO_PRINCIPAL: &str = "Assign to a key or user";
pub const ASSIGN_TO_ROLE: &str = "Assign to a principal role";
pub const CATALOG_ROLE: &str = "Catalog role";
pub const CATALOG_ROLES: &str = "Catalog roles";
pub const CATALOG_ROLES_HINT: &str =
    "A catalog role is a set of grants in one warehouse. Assign it to principal roles.";
pub const CHANGE_KEY: &str = "Change this key";
pub const CHANGE_OPTIONS: &str = "Change options";
pub const CHECK_STORAGE: &str = "Test the storage";
pub const CHECK_STORAGE_HINT: &str = "The test writes, reads and removes a small file below the root.";
pub const CHECK_STEPS: &str = "Result of the test";
pub const CREATE_CATALOG_ROLE: &str = "Create a catalog role";
pub const CREATE_PRINCIPAL_ROLE: &str = "Create a principal role";
pub const CREATE_SUBSCRIPTION: &str = "Create a subscription";
pub const CREATE_WAREHOUSE: &str = "Create a warehouse";
pub const DEAD_LETTERS: &str = "Dead letters";
pub const DELETE: &str = "Delete";
pub const DELETE_ROLE_HINT: &str = "Its assignments and grants are deleted too.";
pub const DELETE_SUBSCRIPTION_HINT: &str = "Its dead letters are deleted too.";
pub const DELETE_USER_HINT: &str =
    "The user is created again at the next sign-in with the identity provider. Disable the user to prevent this.";
pub const DELETE_WAREHOUSE_HINT: &str = "Only an empty warehouse can be deleted.";
pub const DELIVERED: &str = "Last delivery";
pub const DETAILS: &str = "Details";
pub const DISABLE: &str = "Disable";
pub const DISABLE_USER_HINT: &str = "The user and the user's tokens are refused at once.";
pub const DISCARD: &str = "Discard all dead letters";
pub const DISCARD_HINT: &str = "The events are not sent again. This cannot be undone.";
pub const DISCARD_ONE: &str = "Discard";
pub const DONE_ASSIGNED: &str = "The role is assigned.";
pub const DONE_DEFAULT: &str = "The warehouse is the default.";
pub const DONE_DELETED: &str = "Deleted.";
pub const DONE_DISABLED: &str = "Disabled.";
pub const DONE_DISCARDED: &str = "The dead letters are discarded.";
pub const DONE_DISCARDED_ONE: &str = "The dead letter is discarded.";
pub const DONE_ENABLED: &str = "Enabled.";
pub const DONE_GRANTED: &str = "The privilege is granted.";
pub const DONE_GRANT_REVOKED: &str = "The grant is revoked.";
pub const DONE_KEY_CHANGED: &str = "The key is changed.";
pub const DONE_OPTIONS: &str = "The options are changed.";
pub const DONE_REPLAYED: &str = "The dead letters are sent again.";
pub const DONE_ROLE_CREATED: &str = "The role is created.";
pub const DONE_ROLE_REVOKED: &str = "The role is revoked.";
pub const DONE_STORAGE: &str = "The storage is changed.";
pub const EMAIL: &str = "Email";
pub const ENABLE: &str = "Enable";
pub const EVENTS: &str = "Events";
pub const EVENTS_HINT: &str = "Every change of the catalog and its administration, newest first.";
pub const EVENTS_SECTIONS: &str = "Sections of events";
pub const EVENT_ID: &str = "Event";
pub const EXPIRY_DAYS: &str = "Expires in days (empty: unchanged; never: no expiry)";
pub const FAILING_SINCE: &str = "Failing since";
pub const GRANT: &str = "Grant a privilege";
pub const GRANTS: &str = "Grants";
pub const ISSUER: &str = "Identity provider";
pub const KEY: &str = "API key";
pub const KEY_ROLE: &str = "Built-in role";
pub const LAST_ERROR: &str = "Last error";
pub const LAST_SEEN: &str = "Last seen";
pub const MAKE_DEFAULT: &str = "Make this the default warehouse";
pub const MAKE_DEFAULT_HINT: &str = "Clients that name no warehouse use the default.";
pub const MANAGE_WAREHOUSES: &str = "Manage warehouses";
pub const NAMESPACE_LEVELS: &str = "Namespace, levels joined by dots (empty for the warehouse)";
pub const NEW_SECRET: &str = "Secret of the signatures";
pub const NEW_SECRET_HINT: &str =
    "Copy it now. It cannot be shown again. The receiver checks the signatures of events with it.";
pub const NOT_HOURS: &str = "The overlap is not a whole number of hours.";
pub const NOT_JSON: &str = "The settings of the storage are not a JSON object.";
pub const NOT_TIME: &str = "The time is not written as 2026-08-01 or 2026-08-01T12:30.";
pub const NO_DELETE: &str = "Clients cannot remove files";
pub const OBJECTS_OF: &str = "Objects, separated by commas (empty: all)";
pub const OBJECT_NAME: &str = "Table or view (empty for a warehouse or namespace)";
pub const OBJECT_TYPE: &str = "Type of the object";
pub const ONLY_TEST: &str = "Only test the storage, create nothing";
pub const OPERATIONS_OF: &str = "Operations, separated by commas (empty: all)";
pub const OVERLAP_HOURS: &str = "Hours in which both keys work (empty: the server's setting)";
pub const OVERLAP_SECRET_HOURS: &str = "Hours in which both secrets are used (empty: the server's setting)";
pub const PLANNING: &str = "Planning of scans";
pub const PRINCIPALS: &str = "Keys and users";
pub const PRINCIPALS_HINT: &str = "All that can have principal roles: keys, and users of identity providers.";
pub const PRINCIPAL_HINT: &str = "Name or id of a key, or email address of a user";
pub const PRINCIPAL_ROLE: &str = "Principal role";
pub const PRINCIPAL_ROLES: &str = "Principal roles";
pub const PRINCIPAL_ROLES_HINT: &str =
    "A principal role is a group of keys and users. It has catalog roles, which have grants.";
pub const PRIVILEGE: &str = "Privilege";
pub const PROVIDER_BUSY: &str = "Too many sign-ins run at once. Try again in a few seconds.";
pub const PROVIDER_FAILED: &str = "The sign-in with the identity provider failed";
pub const PROVIDER_SIGN_IN: &str = "Sign in with";
pub const PROVIDER_STATE: &str =
    "This sign-in was not begun in this browser, or more than 10 minutes ago. Sign in again.";
pub const PROVIDER_UNKNOWN: &str = "There is no such identity provider.";
pub const PURGE: &str = "Removal of purged files";
pub const REASON: &str = "Reason";
pub const REPLAY: &str = "Send again";
pub const REPLAY_ALL: &str = "Send all dead letters again";
pub const REVOKE_GRANT: &str = "Revoke";
pub const REVOKE_ROLE: &str = "Revoke";
pub const ROOT: &str = "Root, such as s3://bucket/lake";
pub const ROTATE_KEY: &str = "Rotate this key";
pub const ROTATE_KEY_HINT: &str =
    "A new key with the same role replaces this one. The old key works until the overlap ends.";
pub const ROTATE_SECRET: &str = "Rotate the secret";
pub const ROTATE_SECRET_HINT: &str = "Events are signed with both secrets until the overlap ends.";
pub const SEARCH_SINCE: &str = "From (UTC)";
pub const SEARCH_UNTIL: &str = "Until (UTC)";
pub const SET_DEFAULT: &str = "Make it the default";
pub const SET_STORAGE: &str = "Change the storage";
pub const SET_STORAGE_HINT: &str =
    "The new settings replace the old ones, after a test. Credentials are sealed, and never shown.";
pub const STEP: &str = "Step";
pub const STORAGE: &str = "Storage";
pub const STORAGE_JSON: &str = "Storage settings in JSON (empty: the local disk)";
pub const SUBJECT: &str = "Id at the provider";
pub const SUBSCRIPTION: &str = "Subscription";
pub const SUBSCRIPTIONS: &str = "Subscriptions";
pub const SUBSCRIPTIONS_HINT: &str = "A subscription sends events to a URL (a webhook).";
pub const TEST_BLOCKED: &str = "The receiver was not reached: its host is unknown, or is inside a network to which the server sends nothing. Check the spelling of the host. If the receiver is in your own network, an operator adds the network to the setting delivery.allow_networks.";
pub const TEST_SUBSCRIPTION: &str = "Send a test";
pub const UNCHANGED: &str = "unchanged";
pub const URL: &str = "URL";
pub const USERS: &str = "Users";
pub const USERS_HINT: &str = "People and services of identity providers. Each is added at the first sign-in.";
pub const WHAT_CHANGED: &str = "What changed";
pub const WHOLE_WAREHOUSE: &str = "the warehouse";

/// Returns the message about a change, by its word in the address of a page.
#[must_use]
pub fn done(word: &str) -> Option<&'static str> {
    Some(match word {
        "assigned" => DONE_ASSIGNED,
        "default" => DONE_DEFAULT,
        "deleted" => DONE_DELETED,
        "disabled" => DONE_DISABLED,
        "discarded" => DONE_DISCARDED,
        "discarded-one" => DONE_DISCARDED_ONE,
        "enabled" => DONE_ENABLED,
        "grant-revoked" => DONE_GRANT_REVOKED,
        "granted" => DONE_GRANTED,
        "key-changed" => DONE_KEY_CHANGED,
        "options" => DONE_OPTIONS,
        "replayed" => DONE_REPLAYED,
        "role-created" => DONE_ROLE_CREATED,
        "role-revoked" => DONE_ROLE_REVOKED,
        "storage" => DONE_STORAGE,
        _ => return None,
    })
}

/// Says that a receiver answered a test with an error. `answer` is what the server says about it.
#[must_use]
pub fn test_refused(answer: &str) -> String {
    format!(
        "The receiver was reached, but did not accept the test: {answer}. Correct the receiver or the URL, and test again."
    )
}

/// Says that a receiver of a test was not reached, and why.
#[must_use]
pub fn test_not_sent(reason: &str) -> String {
    format!("The receiver was not reached: {reason}. Check the URL, and that the receiver runs. Then test again.")
}

/// Says that an object of a grant is dropped.
#[must_use]
pub fn dropped(kind: &str, id: &str) -> String {
    format!("dropped {kind} {id}")
}
