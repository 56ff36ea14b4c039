//! The settings of identity providers, `[[auth.issuers]]`.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use tidewater_core::access::{Role, check_organisation_name, check_role_name};
use url::{Host, Url};

/// The largest accepted difference between the clocks of a provider and this server.
const MAX_CLOCK_SKEW_S: u64 = 300;

/// The longest name of a provider.
const MAX_NAME_BYTES: usize = 64;

/// An identity provider whose tokens are accepted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IssuerConfig {
    /// Its name in messages, and for `tidewater login`.
    pub name: String,
    /// Its URL: the tokens' `iss`. Users are stored with it.
    pub issuer: String,
    /// The name of the organisation that its users belong to.
    pub organisation: String,
    /// The accepted audiences: a token needs one of them.
    pub audiences: Vec<String>,
    /// Further accepted spellings of the tokens' `iss`.
    pub accepted_issuers: Vec<String>,
    /// The address of its key set. Without it and `jwks_file`, discovery finds the key set.
    pub jwks_url: Option<String>,
    /// A file with its key set, instead of an address.
    pub jwks_file: Option<PathBuf>,
    /// A file with further trusted certificates (PEM) for the connection to it.
    pub ca_file: Option<PathBuf>,
    /// A file with a token that is sent to it as bearer, for Kubernetes.
    pub bearer_file: Option<PathBuf>,
    /// The accepted algorithms.
    pub algorithms: Vec<SigningAlgorithm>,
    /// The claims with a user's id: the first that a token has counts.
    pub subject_claims: Vec<String>,
    /// The claim with a user's name.
    pub name_claim: String,
    /// The claim with a user's email address.
    pub email_claim: String,
    /// The claim with a user's groups or roles, as a dotted path.
    pub groups_claim: Option<String>,
    /// The roles of groups.
    pub group_mappings: Vec<GroupMapping>,
    /// Whether principal roles of groups are created if they do not exist.
    pub create_roles: bool,
    /// The built-in role of every user.
    #[serde(with = "role_name")]
    pub role: Role,
    /// The accepted difference between the clocks of the provider and this server, in seconds.
    pub clock_skew_s: u64,
    /// The client id with which `tidewater login` signs in. Without it, people cannot sign in through this provider.
    pub login_client_id: Option<String>,
    /// The client id with which the console signs in. Without it, the console does not offer this provider.
    pub console_client_id: Option<String>,
    /// A file with the secret of the console's client, if it has one.
    pub console_client_secret_file: Option<PathBuf>,
    /// The scopes that `tidewater login` and the console ask for.
    pub login_scopes: Vec<String>,
}

/// The roles of a group, or of all groups with a pattern.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct GroupMapping {
    /// The group's name.
    pub group: Option<String>,
    /// A pattern of names, in which `*` stands for any text.
    pub pattern: Option<String>,
    /// The principal role. `*` stands for the text of the pattern's first `*`.
    pub principal_role: Option<String>,
    /// The built-in role.
    #[serde(with = "role_name::optional")]
    pub role: Option<Role>,
}

/// An algorithm of signatures with a public key (RFC 7518, RFC 8037).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the standard")]
pub enum SigningAlgorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
}

impl SigningAlgorithm {
    /// All algorithms.
    pub const ALL: [Self; 9] = [
        Self::RS256,
        Self::RS384,
        Self::RS512,
        Self::PS256,
        Self::PS384,
        Self::PS512,
        Self::ES256,
        Self::ES384,
        Self::EdDSA,
    ];
}

impl Default for IssuerConfig {
    fn default() -> Self {
        let texts = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        Self {
            name: String::new(),
            issuer: String::new(),
            organisation: String::new(),
            audiences: Vec::new(),
            accepted_issuers: Vec::new(),
            jwks_url: None,
            jwks_file: None,
            ca_file: None,
            bearer_file: None,
            algorithms: SigningAlgorithm::ALL.to_vec(),
            subject_claims: texts(&["oid", "sub"]),
            name_claim: "name".to_owned(),
            email_claim: "email".to_owned(),
            groups_claim: None,
            group_mappings: Vec::new(),
            create_roles: false,
            role: Role::None,
            clock_skew_s: 60,
            login_client_id: None,
            console_client_id: None,
            console_client_secret_file: None,
            login_scopes: texts(&["openid", "profile", "email"]),
        }
    }
}

impl IssuerConfig {
    /// Returns all spellings of the tokens' `iss`, the issuer first.
    pub fn spellings(&self) -> impl Iterator<Item = &str> {
        std::iter::once(&self.issuer).chain(&self.accepted_issuers).map(String::as_str)
    }

    /// Returns [`IssuerConfig::clock_skew_s`] as a duration.
    #[must_use]
    pub const fn clock_skew(&self) -> Duration {
        Duration::from_secs(self.clock_skew_s)
    }

    /// Returns the paths of its files, to resolve relative ones.
    pub(super) fn files_mut(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        let files =
            [&mut self.jwks_file, &mut self.ca_file, &mut self.bearer_file, &mut self.console_client_secret_file];
        files.into_iter().filter_map(Option::as_mut)
    }

    /// Returns what is wrong with the settings.
    fn faults(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        let mut add = |setting: &str, why: String| wrong.push(format!("`{setting}` {why}"));
        if !is_name(&self.name) {
            add("name", format!("must be 1 to {MAX_NAME_BYTES} of a-z, A-Z, 0-9, '-', '_' and '.'"));
        }
        if let Err(why) = check_address(&self.issuer) {
            add("issuer", why);
        }
        if let Err(error) = check_organisation_name(&self.organisation) {
            add("organisation", format!("is the organisation of the provider's users: {error}"));
        }
        for (setting, texts) in [
            ("audiences", &self.audiences),
            ("subject_claims", &self.subject_claims),
            ("login_scopes", &self.login_scopes),
        ] {
            if texts.is_empty() || texts.iter().any(String::is_empty) {
                add(setting, "must be a list with at least one text, and no empty one".to_owned());
            }
        }
        if self.algorithms.is_empty() {
            add("algorithms", "must have at least one algorithm".to_owned());
        }
        if self.accepted_issuers.iter().any(String::is_empty) {
            add("accepted_issuers", "must have no empty text".to_owned());
        }
        match (&self.jwks_url, &self.jwks_file) {
            (Some(_), Some(_)) => add("jwks_file", "and `jwks_url` exclude each other: remove one".to_owned()),
            (Some(address), None) => check_address(address).unwrap_or_else(|why| add("jwks_url", why)),
            _ => {}
        }
        for (setting, file) in [
            ("jwks_file", &self.jwks_file),
            ("ca_file", &self.ca_file),
            ("bearer_file", &self.bearer_file),
            ("console_client_secret_file", &self.console_client_secret_file),
        ] {
            if let Some(file) = file
                && let Err(error) = std::fs::File::open(file)
            {
                add(setting, format!("names {}, which cannot be read: {error}", file.display()));
            }
        }
        if self.clock_skew_s > MAX_CLOCK_SKEW_S {
            add("clock_skew_s", format!("must be at most {MAX_CLOCK_SKEW_S}"));
        }
        if !self.group_mappings.is_empty() && self.groups_claim.is_none() {
            add("group_mappings", "need `groups_claim`, the claim with the groups".to_owned());
        }
        if self.console_client_secret_file.is_some() && self.console_client_id.is_none() {
            add("console_client_secret_file", "needs `console_client_id`, the client with the secret".to_owned());
        }
        if self.groups_claim.as_deref() == Some("") {
            add("groups_claim", "must not be empty: leave it out to use no groups".to_owned());
        }
        wrong.extend(self.group_mappings.iter().filter_map(GroupMapping::fault));
        wrong
    }
}

impl GroupMapping {
    /// Returns what is wrong with the mapping.
    fn fault(&self) -> Option<String> {
        let wrong = |why: String| Some(format!("`group_mappings` has {}, {why}", self.shown()));
        if self.group.is_some() == self.pattern.is_some() {
            return wrong("which needs `group` or `pattern`, and not both".to_owned());
        }
        if self.principal_role.is_none() && self.role.is_none() {
            return wrong("which gives nothing: set `principal_role` or `role`".to_owned());
        }
        let role = self.principal_role.as_deref().unwrap_or_default();
        let has_star = role.contains('*');
        if has_star && !self.pattern.as_deref().is_some_and(|pattern| pattern.contains('*')) {
            return wrong("whose `principal_role` has a '*', so it needs a `pattern` with one".to_owned());
        }
        let checked = self.principal_role.as_deref().filter(|_| !has_star).map(check_role_name);
        checked.and_then(Result::err).and_then(|error| wrong(format!("whose `principal_role` is wrong: {error}")))
    }

    fn shown(&self) -> String {
        let text = self.group.as_deref().or(self.pattern.as_deref());
        text.map_or_else(|| "an entry without a group".to_owned(), |text| format!("'{text}'"))
    }
}

/// Returns what is wrong with the settings of all providers: a line for each fault.
pub(super) fn check(issuers: &[IssuerConfig]) -> Vec<String> {
    let mut wrong = Vec::new();
    for (at, issuer) in issuers.iter().enumerate() {
        let shown = if issuer.name.is_empty() { format!("number {}", at + 1) } else { format!("'{}'", issuer.name) };
        wrong.extend(issuer.faults().into_iter().map(|fault| format!("`auth.issuers` {shown}: {fault}")));
        for other in &issuers[..at] {
            if other.name == issuer.name {
                wrong.push(format!("`auth.issuers` has two providers {shown}: give one another name"));
            }
            let same_issuer = issuer.spellings().any(|spelling| other.spellings().any(|known| known == spelling));
            let audience = issuer.audiences.iter().find(|audience| other.audiences.contains(audience));
            if let (true, Some(audience)) = (same_issuer, audience) {
                wrong.push(format!(
                    "`auth.issuers` {shown} and '{}' have the same issuer and the audience '{audience}': a token could \
                     belong to both, so give them different audiences",
                    other.name
                ));
            }
        }
    }
    wrong
}

fn is_name(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    (1..=MAX_NAME_BYTES).contains(&text.len()) && text.bytes().all(allowed)
}

/// Checks that a text is the address of a provider. HTTP without TLS is accepted only for this machine.
fn check_address(text: &str) -> Result<(), String> {
    let advice = "write it as in https://login.example.com/realms/acme";
    let url = Url::parse(text).map_err(|_| format!("is '{text}', which is not an address: {advice}"))?;
    if url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
        return Err(format!("is '{text}', but must have no user, query and fragment: {advice}"));
    }
    let is_this_machine = match url.host() {
        Some(Host::Domain(name)) => name == "localhost" || name.ends_with(".localhost"),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => return Err(format!("is '{text}', which has no host: {advice}")),
    };
    match url.scheme() {
        "https" => Ok(()),
        "http" if is_this_machine => Ok(()),
        _ => Err(format!("is '{text}', but must begin with https: others could replace the keys on their way")),
    }
}

/// Deserializes a list, or the JSON of a list from an environment variable.
pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IssuerConfig>, D::Error> {
    struct Issuers;

    impl<'de> Visitor<'de> for Issuers {
        type Value = Vec<IssuerConfig>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of identity providers, [[auth.issuers]], or its JSON")
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Vec<IssuerConfig>, E> {
            serde_json::from_str(text).map_err(E::custom)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Vec<IssuerConfig>, A::Error> {
            let mut issuers = Vec::new();
            while let Some(issuer) = items.next_element()? {
                issuers.push(issuer);
            }
            Ok(issuers)
        }
    }

    deserializer.deserialize_any(Issuers)
}

/// Built-in roles by their names.
mod role_name {
    use serde::{Deserialize, Deserializer, Serializer, de};
    use tidewater_core::access::Role;

    pub(super) fn serialize<S: Serializer>(role: &Role, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(role.as_str())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Role, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }

    pub(super) mod optional {
        use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
        use tidewater_core::access::Role;

        pub(crate) fn serialize<S: Serializer>(role: &Option<Role>, serializer: S) -> Result<S::Ok, S::Error> {
            role.map(Role::as_str).serialize(serializer)
        }

        pub(crate) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Role>, D::Error> {
            let name = Option::<String>::deserialize(deserializer)?;
            name.map(|name| name.parse().map_err(de::Error::custom)).transpose()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn issuer(name: &str) -> IssuerConfig {
        IssuerConfig {
            name: name.to_owned(),
            issuer: "https://sso.example.com/realms/acme".to_owned(),
            organisation: "acme".to_owned(),
            audiences: vec!["tidewater".to_owned()],
            ..IssuerConfig::default()
        }
    }

    fn fault(change: impl FnOnce(&mut IssuerConfig)) -> String {
        let mut changed = issuer("sso");
        change(&mut changed);
        check(&[changed]).join("\n")
    }

    #[test]
    fn minimal_issuer_is_accepted() {
        assert_eq!(check(&[issuer("sso")]), Vec::<String>::new());
    }

    #[test]
    fn wrong_setting_of_an_issuer_is_refused_with_advice() {
        type Set = fn(&mut IssuerConfig);
        let mapping = |change: fn(&mut GroupMapping)| {
            move |issuer: &mut IssuerConfig| {
                let mut mapping = GroupMapping { group: Some("a".to_owned()), ..GroupMapping::default() };
                mapping.principal_role = Some("analysts".to_owned());
                change(&mut mapping);
                issuer.groups_claim = Some("groups".to_owned());
                issuer.group_mappings.push(mapping);
            }
        };
        assert_eq!(fault(mapping(|_| {})), "");
        let cases: [(Set, &str); 11] = [
            (|one| one.name = "a b".to_owned(), "`auth.issuers` 'a b': `name` must be 1 to 64 of"),
            (|one| one.issuer = "http://sso.example.com".to_owned(), "must begin with https"),
            (|one| one.issuer = "sso.example.com".to_owned(), "which is not an address"),
            (|one| one.issuer.push_str("?a=b"), "must have no user, query and fragment"),
            (|one| one.organisation.clear(), "is the organisation of the provider's users"),
            (|one| one.audiences.clear(), "`audiences` must be a list with at least one text"),
            (|one| one.clock_skew_s = 301, "`clock_skew_s` must be at most 300"),
            (|one| one.ca_file = Some("/absent.pem".into()), "names /absent.pem, which cannot be read"),
            (|one| one.console_client_secret_file = Some("/dev/null".into()), "needs `console_client_id`"),
            (|one| one.jwks_url = Some("ftp://a".to_owned()), "`jwks_url` is 'ftp://a', but must begin with https"),
            (
                |one| one.group_mappings.push(GroupMapping::default()),
                "`group_mappings` need `groups_claim`, the claim with the groups",
            ),
        ];
        for (set, advice) in cases {
            let fault = fault(set);
            assert!(fault.contains(advice), "{fault}");
        }
        let fault_of = |change: fn(&mut GroupMapping)| fault(mapping(change));
        assert!(fault_of(|one| one.group = None).contains("needs `group` or `pattern`"));
        assert!(fault_of(|one| one.pattern = Some("*".to_owned())).contains("and not both"));
        assert!(fault_of(|one| one.principal_role = None).contains("'a', which gives nothing"));
        assert!(fault_of(|one| one.principal_role = Some("*".to_owned())).contains("needs a `pattern` with one"));
        assert!(fault_of(|one| one.principal_role = Some("admin".to_owned())).contains("is a built-in role"));
    }

    #[test]
    fn http_is_accepted_for_this_machine_only() {
        for good in ["http://127.0.0.1:9000/a", "http://[::1]:1", "http://localhost", "https://a.example"] {
            assert_eq!(check_address(good), Ok(()), "{good}");
        }
        for bad in
            ["http://127.0.0.1.example.com", "http://10.0.0.1", "http://localhost.example.com", "https://u@a.example"]
        {
            assert!(check_address(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn two_issuers_that_could_accept_the_same_token_are_refused() {
        let (one, mut two) = (issuer("one"), issuer("two"));
        assert!(check(&[one.clone(), two.clone()]).join("\n").contains("the audience 'tidewater'"));
        two.audiences = vec!["other".to_owned()];
        assert!(check(&[one.clone(), two.clone()]).is_empty());
        two.name = "one".to_owned();
        assert!(check(&[one, two]).join("\n").contains("two providers 'one'"));
    }
}
