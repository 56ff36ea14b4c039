//! The signature that gives access to one folder of a storage account (Azure Storage, "Create a user delegation SAS" and
//! "Create a service SAS"): the text to sign, and the token for clients.

use super::{Access, AzureContainer};
use crate::location::Location;

/// The service version of vended signatures: all Azure clouds have it, and every client supports it.
pub const SAS_VERSION: &str = "2023-11-03";

/// The first version with signatures for folders.
const FIRST_VERSION: &str = "2020-02-10";

/// Why no signature is possible.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SasError {
    /// The folder is the whole container, so the signature would give access to all tables.
    #[error("cannot vend credentials for a table at the root of a container: put the table into a folder")]
    WholeContainer,
    /// Azure reads the folder's name as another name.
    #[error(
        "cannot vend credentials for {0}: Azure ignores a '.' at the end of a folder's name; choose \
         another location"
    )]
    EndsWithDot(Location),
    /// The service version is older than signatures for folders.
    #[error("version {0} has no signatures for folders: use {FIRST_VERSION} or later")]
    TooOld(String),
}

/// The public part of a user delegation key. The key signs in the name of its requester until it expires or is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationKeyName {
    /// The requester's id in the directory (`SignedOid`).
    pub object_id: String,
    /// The id of the directory (`SignedTid`).
    pub tenant_id: String,
    /// The start of its validity, as Azure wrote it (`SignedStart`).
    pub start: String,
    /// The end of its validity (`SignedExpiry`).
    pub expiry: String,
    /// The service that it is for (`SignedService`).
    pub service: String,
    /// The service version (`SignedVersion`).
    pub version: String,
}

/// The terms of a signature.
#[derive(Debug, Clone, Copy)]
pub struct SasTerms<'a> {
    /// The allowed access to files.
    pub access: Access,
    /// The start of its validity, such as `2026-11-24T09:55:00Z`.
    pub start: &'a str,
    /// The end of its validity, in the same form.
    pub expiry: &'a str,
    /// Whether requests may use HTTP without TLS, for an emulator.
    pub allow_http: bool,
    /// The service version ([`SAS_VERSION`] for clients).
    pub version: &'a str,
    /// The delegation key that signs. `None` for the account's key.
    pub key: Option<&'a DelegationKeyName>,
}

/// A signature before it is signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedSas {
    /// The text to sign: the signature is its HMAC-SHA256 with the key, in base64.
    pub string_to_sign: String,
    query: Vec<(&'static str, String)>,
}

impl UnsignedSas {
    /// Returns the query string that a client appends to the address of a file.
    #[must_use]
    pub fn signed(&self, signature: &str) -> String {
        let pairs = self.query.iter().map(|(name, value)| (*name, value.as_str())).chain([("sig", signature)]);
        pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }
}

/// Builds the signature for `folder` and everything below it, for an account with a hierarchical namespace.
///
/// # Errors
/// See [`SasError`].
pub fn directory_sas(
    container: &AzureContainer,
    folder: &Location,
    terms: &SasTerms<'_>,
) -> Result<UnsignedSas, SasError> {
    if terms.version < FIRST_VERSION {
        return Err(SasError::TooOld(terms.version.to_owned()));
    }
    let path = folder.path();
    if path.is_empty() {
        return Err(SasError::WholeContainer);
    }
    if path.split('/').any(|segment| segment.ends_with('.')) {
        return Err(SasError::EndsWithDot(folder.clone()));
    }
    let depth = path.split('/').skip(1).count();
    // Only the rights that Iceberg's clients need: no renames, no changes of rights.
    let permissions = match terms.access {
        Access::Read => "rl",
        Access::ReadWriteNoDelete => "racwl",
        Access::ReadWrite => "racwdl",
    };
    let protocol = if terms.allow_http { "https,http" } else { "https" };
    let resource = format!("/blob/{}/{}{path}", container.account(), container.container());
    let mut query = vec![
        ("sv", terms.version.to_owned()),
        ("st", terms.start.to_owned()),
        ("se", terms.expiry.to_owned()),
        ("sr", "d".to_owned()),
        ("sdd", depth.to_string()),
        ("sp", permissions.to_owned()),
        ("spr", protocol.to_owned()),
    ];
    let mut fields = vec![permissions, terms.start, terms.expiry, &resource];
    match terms.key {
        // signedIdentifier: a stored access policy.
        None => fields.push(""),
        Some(key) => {
            let named = [
                ("skoid", &key.object_id),
                ("sktid", &key.tenant_id),
                ("skt", &key.start),
                ("ske", &key.expiry),
                ("sks", &key.service),
                ("skv", &key.version),
            ];
            fields.extend(named.iter().map(|(_, value)| value.as_str()));
            query.extend(named.map(|(name, value)| (name, value.clone())));
            // signedAuthorizedUserObjectId, signedUnauthorizedUserObjectId, signedCorrelationId.
            fields.extend(["", "", ""]);
            if terms.version >= "2025-07-05" {
                // signedKeyDelegatedUserTenantId, signedDelegatedUserObjectId.
                fields.extend(["", ""]);
            }
        }
    }
    // signedIP comes first: any client address.
    fields.extend(["", protocol, terms.version, "d"]);
    // signedSnapshotTime.
    fields.push("");
    if terms.version >= "2020-12-06" {
        // signedEncryptionScope.
        fields.push("");
    }
    if terms.key.is_some() && terms.version >= "2026-04-06" {
        // Required request headers and query parameters.
        fields.extend(["", ""]);
    }
    // Response headers: Cache-Control, and Content-Disposition, -Encoding, -Language and -Type.
    fields.extend([""; 5]);
    Ok(UnsignedSas { string_to_sign: fields.join("\n"), query })
}

/// Percent-encodes all but unreserved characters (RFC 3986, section 2.3).
fn encoded(value: &str) -> String {
    let mut encoded = String::with_capacity(value.len());
    for byte in value.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            encoded.push(char::from(byte));
        } else {
            encoded.push_str(&format!("%{byte:02X}"));
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: &str = "2026-11-24T09:55:00Z";
    const EXPIRY: &str = "2026-11-24T11:00:00Z";

    fn key() -> DelegationKeyName {
        DelegationKeyName {
            object_id: "oid".to_owned(),
            tenant_id: "tid".to_owned(),
            start: "2026-11-24T09:50:00Z".to_owned(),
            expiry: "2026-11-25T09:55:00Z".to_owned(),
            service: "b".to_owned(),
            version: "2023-11-03".to_owned(),
        }
    }

    fn sas(
        folder: &str,
        version: &str,
        access: Access,
        key: Option<&DelegationKeyName>,
    ) -> Result<UnsignedSas, SasError> {
        let folder = Location::parse(&format!("abfss://lake@acct.dfs.core.windows.net{folder}")).unwrap();
        let container = AzureContainer::parse(&folder).unwrap();
        let terms = SasTerms { access, start: START, expiry: EXPIRY, allow_http: false, version, key };
        directory_sas(&container, &folder, &terms)
    }

    /// Checks each field in the documented order, newest version last.
    #[test]
    fn text_signed_by_a_delegation_key_is_as_documented_for_each_version() {
        let head = "racwdl\n2026-11-24T09:55:00Z\n2026-11-24T11:00:00Z\n/blob/acct/lake/wh/t1\n\
                    oid\ntid\n2026-11-24T09:50:00Z\n2026-11-25T09:55:00Z\nb\n2023-11-03\n";
        for (version, agents, after_resource) in [
            // saoid, suoid, scid | sip, spr, sv, sr | snapshot, rscc, rscd, rsce, rscl, rsct
            ("2020-02-10", "\n\n\n", "\n\n\n\n\n"),
            ("2020-10-02", "\n\n\n", "\n\n\n\n\n"),
            // snapshot, ses, ...
            ("2020-12-06", "\n\n\n", "\n\n\n\n\n\n"),
            ("2023-11-03", "\n\n\n", "\n\n\n\n\n\n"),
            // saoid, suoid, scid, skdutid, sduoid
            ("2025-07-05", "\n\n\n\n\n", "\n\n\n\n\n\n"),
            // snapshot, ses, srh, srq, ...
            ("2026-10-06", "\n\n\n\n\n", "\n\n\n\n\n\n\n\n"),
        ] {
            let signed = sas("/wh/t1", version, Access::ReadWrite, Some(&key())).unwrap();
            let expected = format!("{head}{agents}\nhttps\n{version}\nd\n{after_resource}");
            assert_eq!(signed.string_to_sign, expected, "{version}");
        }
    }

    #[test]
    fn text_signed_by_an_account_key_is_as_documented_for_each_version() {
        let head = "rl\n2026-11-24T09:55:00Z\n2026-11-24T11:00:00Z\n/blob/acct/lake/wh/t1\n";
        for (version, after_resource) in
            [("2020-02-10", "\n\n\n\n\n"), ("2020-12-06", "\n\n\n\n\n\n"), ("2026-10-06", "\n\n\n\n\n\n")]
        {
            let signed = sas("/wh/t1", version, Access::Read, None).unwrap();
            // si, sip, spr, sv, sr | snapshot, (ses,) rscc, rscd, rsce, rscl, rsct
            assert_eq!(signed.string_to_sign, format!("{head}\n\nhttps\n{version}\nd\n{after_resource}"), "{version}");
        }
    }

    #[test]
    fn token_has_the_folder_and_its_depth() {
        let signed = sas("/wh/t1/x", SAS_VERSION, Access::Read, None).unwrap().signed("a+b/c=");
        assert_eq!(
            signed,
            "sv=2023-11-03&st=2026-11-24T09%3A55%3A00Z&se=2026-11-24T11%3A00%3A00Z&sr=d&sdd=3&sp=rl&spr=https&sig=a%2Bb%2Fc%3D"
        );
        let signed = sas("/t", SAS_VERSION, Access::ReadWrite, Some(&key())).unwrap().signed("s");
        assert!(signed.contains("&sdd=1&sp=racwdl&"), "{signed}");
        assert!(signed.ends_with("&skoid=oid&sktid=tid&skt=2026-11-24T09%3A50%3A00Z&ske=2026-11-25T09%3A55%3A00Z&sks=b&skv=2023-11-03&sig=s"), "{signed}");
    }

    #[test]
    fn signature_without_delete_rights_has_all_other_rights() {
        let signed = sas("/t", SAS_VERSION, Access::ReadWriteNoDelete, None).unwrap();
        assert!(signed.string_to_sign.starts_with("racwl\n"), "{}", signed.string_to_sign);
        assert!(signed.signed("s").contains("&sp=racwl&"));
    }

    #[test]
    fn name_is_signed_without_percent_encoding() {
        let signed = sas("/wh/a b%20ü", SAS_VERSION, Access::Read, None).unwrap();
        assert!(signed.string_to_sign.contains("\n/blob/acct/lake/wh/a b%20ü\n"), "{}", signed.string_to_sign);
    }

    #[test]
    fn signature_for_more_than_the_folder_is_refused() {
        assert_eq!(sas("", SAS_VERSION, Access::Read, None), Err(SasError::WholeContainer));
        assert!(matches!(sas("/wh/t.", SAS_VERSION, Access::Read, None), Err(SasError::EndsWithDot(_))));
        assert!(matches!(sas("/wh./t", SAS_VERSION, Access::Read, None), Err(SasError::EndsWithDot(_))));
        assert!(matches!(sas("/t", "2019-12-12", Access::Read, None), Err(SasError::TooOld(_))));
    }

    #[test]
    fn only_terms_that_allow_http_permit_requests_without_tls() {
        let folder = Location::parse("abfss://lake@acct.dfs.core.windows.net/t").unwrap();
        let container = AzureContainer::parse(&folder).unwrap();
        let terms = SasTerms {
            access: Access::Read,
            start: START,
            expiry: EXPIRY,
            allow_http: true,
            version: SAS_VERSION,
            key: None,
        };
        let signed = directory_sas(&container, &folder, &terms).unwrap();
        assert!(signed.string_to_sign.contains("\nhttps,http\n") && signed.signed("s").contains("spr=https%2Chttp&"));
    }
}
