//! The signature that opens one folder of a storage account (Azure Storage, "Create a user delegation SAS" and "Create a
//! service SAS"): what is signed, and what a client is given.

use super::{Access, AzureContainer};
use crate::location::Location;

/// The version that signatures are made for: in all of Azure's clouds, and old enough for every client.
pub const SAS_VERSION: &str = "2023-11-03";

/// Signatures for a folder came with this version.
const FIRST_VERSION: &str = "2020-02-10";

/// Why no signature can be made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SasError {
    /// A signature for a folder that is the whole container would open it all.
    #[error("a table at the root of a container cannot be given away by itself: put it into a folder")]
    WholeContainer,
    /// What Azure takes for another name.
    #[error(
        "{0} cannot be given away by itself: Azure takes a folder's name that ends with '.' for the one without; choose \
         another location"
    )]
    EndsWithDot(Location),
    /// Before there were signatures for folders.
    #[error("version {0} has no signatures for folders: use {FIRST_VERSION} or a later one")]
    TooOld(String),
}

/// A user delegation key: it signs in the name of who asked for it, and is good until it expires or is revoked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DelegationKeyName {
    /// Who asked for it, in the directory (`SignedOid`).
    pub object_id: String,
    /// The directory (`SignedTid`).
    pub tenant_id: String,
    /// From when it is good, as Azure wrote it (`SignedStart`).
    pub start: String,
    /// Until when (`SignedExpiry`).
    pub expiry: String,
    /// For which service (`SignedService`).
    pub service: String,
    /// Its version (`SignedVersion`).
    pub version: String,
}

/// What a signature allows.
#[derive(Debug, Clone, Copy)]
pub struct SasTerms<'a> {
    /// What may be done with the files.
    pub access: Access,
    /// From when, such as `2026-11-24T09:55:00Z`.
    pub start: &'a str,
    /// Until when.
    pub expiry: &'a str,
    /// Whether it may be sent without TLS, as to an emulator.
    pub allow_http: bool,
    /// The version that it is made for ([`SAS_VERSION`] for clients).
    pub version: &'a str,
    /// The key that signs; without one it is the account's.
    pub key: Option<&'a DelegationKeyName>,
}

/// A signature's text that is still to be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnsignedSas {
    /// What is signed: HMAC-SHA256 of it with the key, in base64, is the signature.
    pub string_to_sign: String,
    query: Vec<(&'static str, String)>,
}

impl UnsignedSas {
    /// What a client appends to the address of a file.
    #[must_use]
    pub fn signed(&self, signature: &str) -> String {
        let pairs = self.query.iter().map(|(name, value)| (*name, value.as_str())).chain([("sig", signature)]);
        pairs.map(|(name, value)| format!("{name}={}", encoded(value))).collect::<Vec<_>>().join("&")
    }
}

/// The signature that opens `folder` and all below it, and nothing else, for an account with a hierarchical namespace.
///
/// # Errors
/// All of [`SasError`].
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
    // Only what Iceberg's clients do: files are not renamed, and nobody's rights are changed.
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
        // The identifier of a stored policy.
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
            // Who acts for the key's owner, whose rights are not asked for, and the number for the log.
            fields.extend(["", "", ""]);
            if terms.version >= "2025-07-05" {
                // The directory and the name of the user that alone may use it.
                fields.extend(["", ""]);
            }
        }
    }
    // The address that alone may use it.
    fields.extend(["", protocol, terms.version, "d"]);
    // The snapshot.
    fields.push("");
    if terms.version >= "2020-12-06" {
        // The encryption scope.
        fields.push("");
    }
    if terms.key.is_some() && terms.version >= "2026-04-06" {
        // Headers and parameters that requests must have.
        fields.extend(["", ""]);
    }
    // The headers of answers: Cache-Control and Content-Disposition, -Encoding, -Language and -Type.
    fields.extend([""; 5]);
    Ok(UnsignedSas { string_to_sign: fields.join("\n"), query })
}

/// Percent-encoded, but for what never needs it (RFC 3986, 2.3).
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
        let container = AzureContainer::of(&folder).unwrap();
        let terms = SasTerms { access, start: START, expiry: EXPIRY, allow_http: false, version, key };
        directory_sas(&container, &folder, &terms)
    }

    /// Field by field as the documentation lists them, newest version last.
    #[test]
    fn what_a_delegation_key_signs_is_as_documented_for_each_version() {
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
    fn what_an_account_key_signs_is_as_documented_for_each_version() {
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
    fn a_client_is_given_the_folder_and_its_depth() {
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
    fn signature_without_delete_rights_lacks_only_these() {
        let signed = sas("/t", SAS_VERSION, Access::ReadWriteNoDelete, None).unwrap();
        assert!(signed.string_to_sign.starts_with("racwl\n"), "{}", signed.string_to_sign);
        assert!(signed.signed("s").contains("&sp=racwl&"));
    }

    #[test]
    fn a_name_is_signed_as_it_is_and_not_as_an_address_writes_it() {
        let signed = sas("/wh/a b%20ü", SAS_VERSION, Access::Read, None).unwrap();
        assert!(signed.string_to_sign.contains("\n/blob/acct/lake/wh/a b%20ü\n"), "{}", signed.string_to_sign);
    }

    #[test]
    fn what_would_open_more_than_the_folder_is_refused() {
        assert_eq!(sas("", SAS_VERSION, Access::Read, None), Err(SasError::WholeContainer));
        assert!(matches!(sas("/wh/t.", SAS_VERSION, Access::Read, None), Err(SasError::EndsWithDot(_))));
        assert!(matches!(sas("/wh./t", SAS_VERSION, Access::Read, None), Err(SasError::EndsWithDot(_))));
        assert!(matches!(sas("/t", "2019-12-12", Access::Read, None), Err(SasError::TooOld(_))));
    }

    #[test]
    fn only_an_emulator_may_be_asked_without_tls() {
        let folder = Location::parse("abfss://lake@acct.dfs.core.windows.net/t").unwrap();
        let container = AzureContainer::of(&folder).unwrap();
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
