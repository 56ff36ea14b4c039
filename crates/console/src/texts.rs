//! All English texts of the console, in one place. Each constant is the text of its name; pairs have a cause and a remedy.
#![allow(missing_docs, reason = "the text documents its constant")]

pub mod care;
pub mod changes;
pub mod empty;
pub mod operators;
pub mod people;

/// A cause and a remedy of the client doctor.
pub type Advice = (&'static str, &'static str);

pub const ACTION: &str = "Action";
pub const ACTIONS: &str = "Actions";
pub const ACTOR: &str = "Actor";
pub const ADDED: &str = "added";
pub const ADDRESS: &str = "Address";
pub const ALLOWED: &str = "allowed";
pub const ALL_WHO_MAY: &str = "Leave empty to list all that may";
pub const ANY: &str = "any";
pub const API_KEY: &str = "API key";
pub const AS_JSON: &str = "As JSON";
pub const AS_TABLE: &str = "Show as a table";
pub const BACK: &str = "Back";
pub const BACK_TO: &str = "Back to";
pub const BEFORE: &str = "Before";
pub const BIN: &str = "Dropped tables and views";
pub const BIN_HINT: &str = "Dropped tables and views can be restored until their time is over.";
pub const BRANCH: &str = "Branch";
pub const BY_OWNERSHIP: &str = "it owns the object";
pub const BY_ROLE: &str = "its built-in role is";
pub const BY_SIGHT: &str = "it may see an object inside";
pub const CALLS: &str = "The same by the API and the command line";
pub const CANCEL: &str = "Cancel";
pub const CHANGE: &str = "Change";
pub const CHANGED: &str = "changed";
pub const COLUMN: &str = "Column";
pub const COLUMNS: &str = "Columns";
pub const COMMITTED_BY: &str = "Committed by";
pub const COMPARE: &str = "Compare version";
pub const CONNECT_HINT: &str =
    "Settings for each engine with the address of this catalog. Replace flx_... by your API key.";
pub const CONNECT_TABLE_HINT: &str = "How each engine reads this table. Replace flx_... by your API key. The page Connect has the settings of each engine.";
pub const COPY: &str = "Copy";
pub const CREATE: &str = "Create";
pub const CREATED: &str = "Created";
pub const CREATE_KEY: &str = "Create a key";
pub const CREATE_NAMESPACE: &str = "Create a namespace here";
pub const CREATE_REFERENCE: &str = "Create a branch or tag";
pub const CREDENTIALS: &str = "Credentials";
pub const CREDENTIALS_HINT: &str = "What the catalog vends you for this table when you load it: for which locations, and for how long. The values are secret and are not shown.";
pub const CURRENT: &str = "current";
pub const CUT: &str = "This is shown only in part. The API has the whole.";
pub const DAILY_LIMIT: &str = "Requests a day";
pub const DATA_FILES: &str = "Data files";
pub const DONE_DROPPED: &str = "Dropped.";
pub const DONE_NAMESPACE: &str = "The namespace is created.";
pub const DONE_REFERENCE: &str = "The branch or tag is created.";
pub const DONE_REFERENCE_REMOVED: &str = "The branch or tag is removed.";
pub const DONE_RESTORED: &str = "Restored.";
pub const DONE_REVOKED: &str = "The key is revoked.";
pub const DONE_SHOWN: &str =
    "The secret was shown already, and cannot be shown again. If you did not copy it, rotate it.";
pub const DONE_ROLLED_BACK: &str = "The branch is rolled back.";
pub const DONE_ROLLED_FORWARD: &str = "The branch is where it was again.";
pub const NOT_A_NUMBER: &str = "The number of days is not a whole number.";
pub const DAY: &str = "Day";
pub const DECISION: &str = "Decision";
pub const DEFAULT: &str = "default";
pub const DELETE_FILES: &str = "Delete files";
pub const DENIED: &str = "denied";
pub const DIRECTION: &str = "Direction";
pub const DOC: &str = "Description";
pub const DOCTOR: &str = "Client doctor";
pub const DOCTOR_BUTTON: &str = "Examine";
pub const DOCTOR_HINT: &str =
    "Paste the error or the settings of a client that cannot connect. Nothing is stored. Leave secrets out.";
pub const DOCTOR_LABEL: &str = "Error or settings of the client";
pub const DOCTOR_NOTHING: &str =
    "The doctor knows no mistake like this. Look up the x-request-id of the answer in the log of the server.";
pub const DROP: &str = "Drop";
pub const DROPPED: &str = "Dropped";
pub const DROP_HINT: &str =
    "It can be restored from the dropped tables and views until its time is over. Its files stay.";
pub const DROP_NAMESPACE: &str = "Drop this namespace";
pub const DROP_NAMESPACE_HINT: &str = "Only an empty namespace can be dropped.";
pub const DROP_TABLE: &str = "Drop this table";
pub const DROP_VIEW: &str = "Drop this view";
pub const ENDED: &str = "Your sign-in has ended. Sign in again.";
pub const ENGINE: &str = "Engine";
pub const ERROR_TYPE: &str = "Type";
pub const EXPIRES: &str = "Expires";
pub const EXPIRES_IN_DAYS: &str = "Expires in days (empty: never)";
pub const EXPLAIN: &str = "Explain";
pub const FAILED_HEADING: &str = "This cannot be shown";
pub const FILES: &str = "Files";
pub const FILES_REMOVED: &str = "removed at the end";
pub const FILES_STAY: &str = "stay";
pub const FORMAT_VERSION: &str = "Format version";
pub const GRAPH: &str = "Graph";
pub const HISTORY: &str = "Snapshots";
pub const ID: &str = "Id";
pub const KIND: &str = "Kind";
pub const LAST_USED: &str = "Last used";
pub const LOCATION: &str = "Location";
pub const MESSAGE: &str = "Message";
pub const METADATA: &str = "Metadata document";
pub const MISSING_HEADING: &str = "Not found";
pub const MISSING_PAGE: &str = "There is no such page.";
pub const MORE: &str = "Next page";
pub const NAME: &str = "Name";
pub const NAMESPACE: &str = "Namespace";
pub const NAMESPACES: &str = "Namespaces";
pub const NAV: &str = "Console";
pub const NAV_ACCESS: &str = "Access";
pub const NAV_CATALOG: &str = "Catalog";
pub const NAV_CONNECT: &str = "Connect";
pub const NAV_HISTORY: &str = "Audit";
pub const NAV_KEYS: &str = "Keys";
pub const NAV_USAGE: &str = "Usage";
pub const NEVER: &str = "never";
pub const NEW_KEY: &str = "New key";
pub const NEW_KEY_HINT: &str = "Copy it now. It cannot be shown again: the catalog stores a hash of it.";
pub const NO: &str = "no";
pub const NOBODY: &str = "No principal may do this.";
pub const NOT_AN_ANCESTOR: &str =
    "The snapshot is not among the shown ancestors of the branch, so a roll-back to it is not offered here.";
pub const NOT_PARTITIONED: &str = "Not partitioned.";
pub const NOT_SORTED: &str = "Not sorted.";
pub const NOT_FOUND: &str = "No namespace, table or view of the warehouse has a name like this.";
pub const NOT_FOUND_YET: &str = "Nothing was found in this part of the warehouse.";
pub const NOW_AT: &str = "Now at";
pub const NO_CREDENTIALS: &str = "Nothing: clients read the files of this table with an access of their own, such as the local disk, or have each request signed.";
pub const NO_DROPPED: &str = "No table or view was dropped here.";
pub const NO_ENTRIES: &str = "No namespace, table or view is here.";
pub const NO_PROPERTIES: &str = "The table has no properties.";
pub const NO_RECORDS: &str = "No audit record matches.";
pub const NO_REFERENCES: &str = "The table has no branches or tags.";
pub const NO_LIMIT: &str = "no limit";
pub const NO_OTHER: &str = "none";
pub const NO_SNAPSHOTS: &str = "The table has no snapshots yet.";
pub const NO_WAREHOUSES: &str =
    "There is no warehouse that you may see. An administrator creates one, or grants access to one.";
pub const OBJECT: &str = "Object";
pub const OPERATION: &str = "Operation";
pub const PARTITIONS: &str = "Partition specs";
pub const PARTITION_FIELD: &str = "Partition field";
pub const PATH: &str = "Path";
pub const PER_SECOND: &str = "Requests a second";
pub const PREFIX: &str = "For locations below";
pub const PRINCIPAL: &str = "Key or user";
pub const PRODUCT: &str = "Tidewater";
pub const PROPERTIES: &str = "Properties";
pub const REFERENCES: &str = "Branches and tags";
pub const REFUSED_FORM: &str = "The form is not from this console, or too old. Open the page again and repeat what you did. Behind a reverse proxy without HTTPS, the proxy must pass on the Host header.";
pub const REFUSED_HEADING: &str = "This was not done";
pub const REMOVE: &str = "Remove";
pub const REMOVE_BRANCH_HINT: &str = "Readers and writers of the branch fail from then on. Snapshots that are only in this branch are lost when snapshots expire.";
pub const REMOVE_TAG_HINT: &str =
    "Readers of the tag fail from then on. If its snapshot is in no branch, it is lost when snapshots expire.";
pub const REMOVED: &str = "removed";
pub const REQUESTS: &str = "Requests";
pub const REQUESTS_BY_DAY: &str = "Requests by day";
pub const REQUEST_ID: &str = "Request id";
pub const REQUIRED: &str = "Required";
pub const RESTORABLE_UNTIL: &str = "Restorable until";
pub const RESTORE: &str = "Restore";
pub const RETENTION: &str = "Retention";
pub const REVOKE: &str = "Revoke";
pub const REVOKE_LAST_ADMIN_HINT: &str = "This is the last active admin key. Afterwards, only an admin of the identity provider or a command on the machine of the server creates another one.";
pub const REVOKE_OWN_KEY_HINT: &str = "You are signed in with this key. The key and its tokens are refused at once: this signs you out. This cannot be undone.";
pub const REVOKE_OWN_HINT: &str = "You are signed in with this key. This signs you out.";
pub const REVOKE_HINT: &str = "The key and its tokens are refused at once. This cannot be undone.";
pub const ROLE: &str = "Role";
pub const ROLE_HINTS: [(&str, &str); 4] = [
    ("reader", "reads all tables and views"),
    ("writer", "reads, and creates, changes and drops tables and views"),
    ("admin", "does everything in the organisation, also keys and access"),
    ("none", "does only what grants allow"),
];
pub const ROLL_BACK: &str = "Roll back";
pub const ROLL_BACK_HINT: &str =
    "The branch points to the older snapshot again. The newer snapshots stay in the table until they expire.";
pub const ROLL_BACK_AGAIN: &str = "Roll back again";
pub const ROLL_FORWARD: &str = "Undo the roll-back";
pub const ROLL_FORWARD_HINT: &str = "The branch points to the newer snapshot again, as before the roll-back.";
pub const ROWS: &str = "Rows";
pub const SCHEMA: &str = "Schema";
pub const SEARCH: &str = "Search";
pub const SEARCH_FURTHER: &str = "Search further";
pub const SEARCH_HINT: &str = "Part of a name, anywhere in the warehouse";
pub const SECTIONS: &str = "Sections of the table";
pub const SETTINGS: &str = "Settings";
pub const SHOW: &str = "Show";
pub const SHOW_CONTENTS: &str = "Show the contents of";
pub const SHOW_RESTORED: &str = "Show it";
pub const SIGNED_OUT: &str = "You are signed out.";
pub const SIGNED_OUT_ELSEWHERE: &str = "You are signed out; nothing was changed. Sign in to go on.";
pub const SIGN_IN: &str = "Sign in";
pub const SIGN_IN_HEADING: &str = "Sign in to the catalog";
pub const SIGN_IN_HINT: &str = "An administrator creates a key with";
pub const SIGN_IN_INTRO: &str =
    "Enter an API key of your organisation. The browser keeps a token that ends with the key.";
pub const SIGN_OUT: &str = "Sign out";
pub const SIZE: &str = "Size";
pub const SKIP: &str = "Skip to the content";
pub const SNAPSHOT: &str = "Snapshot";
pub const SNAPSHOTS: &str = "Snapshots";
pub const SORT_ORDERS: &str = "Sort orders";
pub const STATE: &str = "State";
pub const STATISTICS: &str = "Statistics";
pub const TABLE: &str = "Table";
pub const TABLES: &str = "Tables";
pub const TABLE_LIMIT: &str = "Most tables and views";
pub const TAG: &str = "Tag";
pub const THEME: &str = "Change between dark and light";
pub const TIER: &str = "Tier";
pub const TIME: &str = "Time";
pub const TODAY: &str = "Today";
pub const TOO_LARGE: &str = "The answer is too large for a page. Use the API or the command line.";
pub const TOO_LONG: &str = "The text is too long.";
pub const TOTAL_ROWS: &str = "Total rows";
pub const TRANSFORM: &str = "Transform";
pub const TYPE: &str = "Type";
pub const REGAINED: &str = "What the branch has again";
pub const UNDO: &str = "Undo";
pub const UNDONE: &str = "What the branch no longer has";
pub const UNREADABLE: &str = "The answer of the API cannot be read.";
pub const UPDATED: &str = "Updated";
pub const UUID: &str = "UUID";
pub const VALUE: &str = "Value";
pub const VERSION: &str = "Version";
pub const VERSIONS: &str = "Versions";
pub const VIEW: &str = "View";
pub const VIEWS: &str = "Views";
pub const WAREHOUSE: &str = "Warehouse";
pub const WAREHOUSES: &str = "Warehouses";
pub const WHO_CAN: &str = "Who can do what, and why";
pub const WHO_CAN_HINT: &str = "Choose an action and an object. Without a key or user, the answer lists all that may.";
pub const WHY: &str = "Why";
pub const WITH: &str = "with";
pub const YES: &str = "yes";

pub const DOCTOR_401: Advice = (
    "The catalog refuses the credential.",
    "The answer of the catalog has a message with the reason. Most clients show it with more logging. Try the key with the curl command above.",
);
pub const DOCTOR_AUDIENCE: Advice = (
    "The token of the identity provider is for another application.",
    "Let the provider issue it for an audience of this catalog: compare its claim aud with the setting audiences of the issuer.",
);
pub const DOCTOR_BASE_PATH: Advice = (
    "The client's address has a path, and must have none.",
    "Set it to the address of the server alone, such as https://catalog.example.com. Clients add /v1 themselves.",
);
pub const DOCTOR_BEARER_IN_TOKEN: Advice = (
    "The setting for the token begins with the word Bearer.",
    "Give the key or token alone. The client adds the word itself.",
);
pub const DOCTOR_CERTIFICATE: Advice = (
    "The client does not trust the certificate of the catalog.",
    "Give the certificate of your authority to the client: a truststore for Java, SSL_CERT_FILE for Python and DuckDB.",
);
pub const DOCTOR_CLOCK: Advice =
    ("The clocks of the identity provider and of the catalog differ.", "Synchronise both with NTP.");
pub const DOCTOR_CONNECTION: Advice = (
    "Nothing listens at the address of the client, or a firewall is between.",
    "Compare host and port with the address in your browser. A server that listens on 127.0.0.1 is reached only from its machine. In a container, localhost is the container.",
);
pub const DOCTOR_CONSOLE_URI: Advice = (
    "The address of the client is that of the console.",
    "Set it to the address of the server, without /console and what follows.",
);
pub const DOCTOR_CUT_KEY: Advice =
    ("The API key was cut off in copying.", "Copy the whole key. It begins with flx_ and has no spaces.");
pub const DOCTOR_DUCKDB_401: Advice = (
    "DuckDB shows only the status: the catalog refuses the credential.",
    "Give the key as TOKEN in ATTACH, as above. The curl command above shows the reason.",
);
pub const DOCTOR_DUCKDB_404: Advice = (
    "DuckDB shows only the status: the warehouse or the path does not exist.",
    "The first text of ATTACH is the name of the warehouse, and ENDPOINT is the address of the server without /v1.",
);
pub const DOCTOR_EXPIRED_KEY: Advice =
    ("The API key is expired.", "An administrator creates a new one, or rotates it.");
pub const DOCTOR_EXPIRED_TOKEN: Advice = (
    "The token is expired, and the client does not renew it.",
    "Give the API key as credential instead of a token: clients then sign in again by themselves.",
);
pub const DOCTOR_FORBIDDEN: Advice = (
    "The credential is valid, but may not do this.",
    "The page Access explains who may, and why. An administrator gives a role or a grant.",
);
pub const DOCTOR_GROUPS: Advice = (
    "The user is in too many groups for the token.",
    "Let the identity provider put only the groups of this application into the token, or its roles.",
);
pub const DOCTOR_GUESSES: Advice = (
    "Too many wrong credentials came from the address of the client.",
    "Stop the client, correct its key, and wait for the seconds in Retry-After.",
);
pub const DOCTOR_HADOOP: Advice =
    ("The client uses a catalog in a folder, not this one.", "Set the type of the catalog to rest.");
pub const DOCTOR_ISSUER: Advice = (
    "The token is of an identity provider that the catalog does not know.",
    "Compare the claim iss of the token with the setting auth.issuers, letter by letter. A slash at the end counts.",
);
pub const DOCTOR_LIMIT: Advice = (
    "A limit of the tier is reached.",
    "The page Usage has the limits. Wait for the seconds in Retry-After, or ask for another tier.",
);
pub const DOCTOR_LOCAL_FILES: Advice = (
    "The tables are on the local disk of the server.",
    "Run the engine on the same machine, with read access to the folder. For other machines, use a warehouse in object storage.",
);
pub const DOCTOR_MISTYPED: Advice =
    ("The API key has a typing mistake.", "Copy it again. Its last characters are a checksum.");
pub const DOCTOR_NAME: Advice = (
    "The name of the host in the address is unknown to the client.",
    "Check its spelling, and the DNS of the machine or container in which the client runs.",
);
pub const DOCTOR_NO_CREDENTIAL: Advice = (
    "The client sends no credential.",
    "Set its token or credential to an API key. Names of the settings are in the snippets above.",
);
pub const DOCTOR_OPERATOR: Advice =
    ("The key is that of an operator, who has no access to tables.", "Use a key of an organisation.");
pub const DOCTOR_PLACEHOLDER: Advice = (
    "The client sends a placeholder instead of a key.",
    "Set its token to an API key. An empty variable often becomes the text None.",
);
pub const DOCTOR_PLAIN_OR_TLS: Advice =
    ("One side speaks HTTPS, the other HTTP.", "Compare the beginning of the address with that in your browser.");
pub const DOCTOR_REGION: Advice = (
    "The client looks for credentials of the cloud by itself.",
    "Let it ask the catalog for credentials: with the header X-Iceberg-Access-Delegation: vended-credentials, which most clients send. The page of a table shows what is vended.",
);
pub const DOCTOR_REVOKED_KEY: Advice = ("The API key is revoked.", "An administrator creates a new one.");
pub const DOCTOR_ROUTE: Advice = (
    "The client asks for a path that the catalog does not have.",
    "Set its address to that of the server alone, without a path. Behind a proxy with a path, include that path.",
);
pub const DOCTOR_RUNTIME: Advice = (
    "The Iceberg runtime is missing in the engine.",
    "Add the package that belongs to the version of the engine, as in the snippet for Spark.",
);
pub const DOCTOR_SCHEME: Advice = (
    "The header Authorization has no scheme that the catalog reads.",
    "Send Authorization: Bearer, a space, and the key.",
);
pub const DOCTOR_SNOWFLAKE: Advice =
    ("Snowflake runs elsewhere and cannot reach a local address.", "Give the catalog a public address with HTTPS.");
pub const DOCTOR_UNKNOWN_KEY: Advice = (
    "The catalog does not know the API key.",
    "It may be of another server. Compare the address of the client with that in your browser.",
);
pub const DOCTOR_V1: Advice = ("The address ends with /v1.", "Leave it out: clients add /v1 themselves.");
pub const DOCTOR_WAREHOUSE: Advice = (
    "The organisation has no warehouse of this name, or the client names none and there is no default.",
    "Set warehouse to a name of the page Catalog. Case counts.",
);

/// Says which role a new key has, and when it expires.
#[must_use]
pub fn about_key(role: &str, expires: &str) -> String {
    format!("Role: {role}. Expires: {expires}.")
}

/// Says how many requests there were.
#[must_use]
pub fn requests(number: &str) -> String {
    format!("{number} requests")
}

/// Says that a name of a new branch or tag is taken.
#[must_use]
pub fn reference_exists(name: &str) -> String {
    format!("A branch or tag {name} exists already. Choose another name.")
}

/// Says how many older snapshots are not shown.
#[must_use]
pub fn older(number: usize) -> String {
    format!("{number} older snapshots are not shown. The API has all of them.")
}

/// Says why some snapshots have no committer.
#[must_use]
pub fn no_committer(events: usize, names: usize) -> String {
    format!(
        "Some snapshots name no principal: their event is no longer kept, or is not among the {events} newest of each of the \
         {names} latest names of the table."
    )
}

/// Names an actor and the engine that acted for it.
#[must_use]
pub fn through(actor: &str, engine: &str) -> String {
    format!("{actor} through {engine}")
}

/// Says how many statistics a snapshot has.
#[must_use]
pub fn statistics(number: usize) -> String {
    format!("{number} sketches of columns")
}

/// Says that a grant allows an action.
#[must_use]
pub fn by_grant(privilege: &str, object: &str, catalog_role: &str, principal_role: &str) -> String {
    format!("{privilege} on {object}, from catalog role '{catalog_role}' through principal role '{principal_role}'")
}
