//! How a client reaches a table's files: with its own credentials, with vended ones, or with a signature per request.

/// What a client said it can use (header `X-Iceberg-Access-Delegation` of the REST specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// It did not say.
    #[default]
    Unsaid,
    /// The header is present. If both are `false`, it names no known kind, and the client wants none.
    Said {
        /// `vended-credentials`
        vended_credentials: bool,
        /// `remote-signing`
        remote_signing: bool,
    },
}

/// How a client gets access to the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delegation {
    /// With its own credentials.
    None,
    /// With temporary credentials from the catalog.
    VendedCredentials,
    /// With a signature from the catalog for each request.
    RemoteSigning,
}

impl Wanted {
    /// Parses the header: names separated by commas, in any case, with optional spaces. Ignores unknown names.
    #[must_use]
    pub fn parse(header: Option<&str>) -> Self {
        let Some(header) = header else { return Self::Unsaid };
        let says = |name: &str| header.split(',').any(|part| part.trim().eq_ignore_ascii_case(name));
        Self::Said { vended_credentials: says("vended-credentials"), remote_signing: says("remote-signing") }
    }
}

/// Chooses a kind of access from the client's wish and the available kinds.
///
/// A client without the header gets credentials if available, otherwise signatures, since a load should always return
/// access. A client with the header gets the first kind that it names and that is available; if none is, it gets the other
/// kind. The header states a preference, and most clients can use both (PyIceberg asks only for credentials, but signs if
/// its configuration says so). A client that names no known kind gets nothing.
#[must_use]
pub fn choose(wanted: Wanted, has_credentials: bool, has_signing: bool) -> Delegation {
    let (first, second) = match wanted {
        Wanted::Said { vended_credentials: false, remote_signing: false } => return Delegation::None,
        Wanted::Said { vended_credentials: false, remote_signing: true } => {
            (Delegation::RemoteSigning, Delegation::VendedCredentials)
        }
        Wanted::Unsaid | Wanted::Said { .. } => (Delegation::VendedCredentials, Delegation::RemoteSigning),
    };
    let is_there = |delegation| match delegation {
        Delegation::VendedCredentials => has_credentials,
        Delegation::RemoteSigning => has_signing,
        Delegation::None => true,
    };
    [first, second].into_iter().find(|delegation| is_there(*delegation)).unwrap_or(Delegation::None)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn said(vended_credentials: bool, remote_signing: bool) -> Wanted {
        Wanted::Said { vended_credentials, remote_signing }
    }

    #[test]
    fn header_is_parsed_as_a_list_in_any_case() {
        assert_eq!(Wanted::parse(None), Wanted::Unsaid);
        assert_eq!(Wanted::parse(Some("vended-credentials")), said(true, false));
        assert_eq!(Wanted::parse(Some(" Remote-Signing , VENDED-CREDENTIALS")), said(true, true));
        assert_eq!(Wanted::parse(Some("vended_credentials")), said(false, false));
        assert_eq!(Wanted::parse(Some("")), said(false, false));
    }

    #[test]
    fn client_gets_the_wanted_kind_or_the_available_one() {
        use Delegation::{None, RemoteSigning, VendedCredentials};
        for (wanted, credentials, signing, gets) in [
            (Wanted::Unsaid, true, true, VendedCredentials),
            (Wanted::Unsaid, false, true, RemoteSigning),
            (Wanted::Unsaid, false, false, None),
            (said(true, false), true, true, VendedCredentials),
            (said(true, false), false, true, RemoteSigning),
            (said(false, true), true, true, RemoteSigning),
            (said(false, true), true, false, VendedCredentials),
            (said(true, true), true, true, VendedCredentials),
            (said(false, false), true, true, None),
        ] {
            assert_eq!(choose(wanted, credentials, signing), gets, "{wanted:?} {credentials} {signing}");
        }
    }
}
