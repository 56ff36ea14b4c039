//! The message for a machine without the credentials that a store needs.

use std::error::Error;

use tidewater_core::location::Location;

/// The places where `object_store` looks for credentials of one cloud.
struct Searched {
    schemes: &'static [&'static str],
    /// The path of the service that it asks last, if no other place has credentials.
    last_asked: &'static str,
    /// The places in their order, for people, and a place that people expect and that is not read.
    text: &'static str,
}

const SEARCHED: [Searched; 3] = [
    Searched {
        schemes: &["s3"],
        // Amazon EC2 User Guide, "Use the Instance Metadata Service": the session's token, requested before the credentials.
        last_asked: "/latest/api/token",
        text: "the environment (AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), a web identity (AWS_WEB_IDENTITY_TOKEN_FILE and \
               AWS_ROLE_ARN), a container's (AWS_CONTAINER_CREDENTIALS_FULL_URI), the machine's (EC2's metadata service); \
               ~/.aws is not read",
    },
    Searched {
        schemes: &["gs"],
        last_asked: "/computeMetadata/v1/",
        text: "the file that GOOGLE_APPLICATION_CREDENTIALS or GOOGLE_SERVICE_ACCOUNT names, what `gcloud auth \
               application-default login` leaves below ~/.config/gcloud, the machine's service account (Google's metadata \
               service)",
    },
    Searched {
        schemes: &["abfss", "wasbs"],
        last_asked: "/metadata/identity/oauth2/token",
        text: "the environment (AZURE_STORAGE_ACCOUNT_KEY; AZURE_CLIENT_ID, AZURE_CLIENT_SECRET and AZURE_TENANT_ID), a \
               workload identity (AZURE_FEDERATED_TOKEN_FILE), the machine's managed identity; `az login` is not read",
    },
];

/// Returns where credentials for a location were looked for, if the error comes from the last of these places. It is asked only
/// when the others have no credentials.
pub(super) fn none_found(location: &Location, error: &object_store::Error) -> Option<&'static str> {
    let places = SEARCHED.iter().find(|places| places.schemes.contains(&location.scheme()))?;
    let mut cause: Option<&dyn Error> = Some(error);
    while let Some(error) = cause {
        if error.to_string().contains(places.last_asked) {
            return Some(places.text);
        }
        cause = error.source();
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn advice_for(location: &str, said: &str) -> Option<&'static str> {
        let error = object_store::Error::Generic { store: "a", source: said.to_owned().into() };
        none_found(&Location::parse(location).unwrap(), &error)
    }

    #[test]
    fn error_of_the_last_place_lists_all_places() {
        let aws = "Error performing PUT http://169.254.169.254/latest/api/token in 2.8s - client error";
        assert!(advice_for("s3://b/k", aws).unwrap().contains("~/.aws is not read"));
        let google = "GET http://metadata.google.internal/computeMetadata/v1/instance/service-accounts/default/token";
        assert!(advice_for("gs://b/k", google).unwrap().contains("GOOGLE_APPLICATION_CREDENTIALS"));
        let azure = "GET http://169.254.169.254/metadata/identity/oauth2/token?api-version=2019-08-01";
        assert!(advice_for("abfss://c@a.dfs.core.windows.net/k", azure).unwrap().contains("az login"));
    }

    #[test]
    fn error_of_the_store_lists_no_places() {
        assert_eq!(advice_for("s3://b/k", "PUT https://b.s3.amazonaws.com/k in 2s - connection refused"), None);
        assert_eq!(advice_for("file:///latest/api/token", "/latest/api/token"), None);
    }
}
