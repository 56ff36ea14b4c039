//! How a client reaches a table's files: with credentials of its own, with vended ones, or by asking for each signature.

/// What a client said it can use (header `X-Iceberg-Access-Delegation` of the REST specification).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Wanted {
    /// It did not say.
    #[default]
    Unsaid,
    /// It said which; with both `false`, it named none that we know, and wants none.
    Said {
        /// `vended-credentials`
        vended_credentials: bool,
        /// `remote-signing`
        remote_signing: bool,
    },
}

/// How a client is to reach the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Delegation {
    /// With what it has.
    None,
    /// With temporary credentials from the catalog.
    VendedCredentials,
    /// With signatures from the catalog, one a request.
    RemoteSigning,
}

impl Wanted {
    /// Reads the header, a list of names separated by commas, in any case and with blanks; a name that is not known says
    /// nothing.
    #[must_use]
    pub fn parse(header: Option<&str>) -> Self {
        let Some(header) = header else { return Self::Unsaid };
        let says = |name: &str| header.split(',').any(|part| part.trim().eq_ignore_ascii_case(name));
        Self::Said { vended_credentials: says("vended-credentials"), remote_signing: says("remote-signing") }
    }
}

/// What a client gets of what there is.
///
/// Who says nothing gets credentials where there are some, since a load is promised to have them, else signatures. Who
/// says what it wants gets the first of these that it wants; where there is none of them, it gets what there is, since
/// clients name what they prefer and can often do the other too (PyIceberg asks for credentials alone, and signs if it is
/// told to). Only who names nothing that we know gets nothing.
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
    fn the_header_is_a_list_of_names_in_any_case() {
        assert_eq!(Wanted::parse(None), Wanted::Unsaid);
        assert_eq!(Wanted::parse(Some("vended-credentials")), said(true, false));
        assert_eq!(Wanted::parse(Some(" Remote-Signing , VENDED-CREDENTIALS")), said(true, true));
        assert_eq!(Wanted::parse(Some("vended_credentials")), said(false, false));
        assert_eq!(Wanted::parse(Some("")), said(false, false));
    }

    #[test]
    fn a_client_gets_what_it_wants_or_what_there_is() {
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
