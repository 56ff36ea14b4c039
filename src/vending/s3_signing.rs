//! S3: signatures for single requests, with the catalog's own key (AWS Signature Version 4).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use tidewater_core::storage::Access;
use tidewater_core::storage::s3_request::{Approved, Payload, S3Request, approve};

use super::s3::S3Vendor;
use super::{Settings, Signed, ValidLocations, VendingError};

const SIGNING: &str = "The catalog's own key";

/// What tells a client to have its requests signed at `endpoint`. No address is among it: clients then use the one that
/// they reach the catalog at, whatever stands between.
pub(super) fn settings(endpoint: &str) -> Settings {
    Settings::from([
        ("s3.remote-signing-enabled", "true".to_owned()),
        // Java knows the one from 1.11 on and the other before, PyIceberg the other.
        ("signer.endpoint", endpoint.to_owned()),
        ("s3.signer.endpoint", endpoint.to_owned()),
        // PyIceberg signs only if it is named so, and only with this way to reach files, which it would not choose.
        ("s3.signer", "S3V4RestSigner".to_owned()),
        ("py-io-impl", "pyiceberg.io.fsspec.FsspecFileIO".to_owned()),
    ])
}

impl S3Vendor {
    /// Signs a request with the catalog's own key for the warehouse, if it is about the files in these locations.
    ///
    /// The region is the warehouse's, whatever the client says: the store takes no other.
    ///
    /// # Errors
    /// `NotSigned`; `Unavailable` when the key is not to be had.
    pub(super) async fn sign(
        &self,
        locations: &ValidLocations,
        access: Access,
        request: &S3Request<'_>,
        now_ms: i64,
    ) -> Result<Signed, VendingError> {
        let approved = approve(&self.profile, locations.as_slice(), access, request)?;
        let unavailable = |error: &dyn std::fmt::Display| VendingError::Unavailable {
            service: SIGNING,
            message: error.to_string(),
        };
        let own = self.own.get_credential().await.map_err(|error| unavailable(&error))?;
        let own = Credentials::new(&own.key_id, &own.secret_key, own.token.clone(), None, "warehouse");
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        let made = signature(own, &self.profile.region, at, request, &approved);
        let made = made.map_err(|error| unavailable(&error))?;
        Ok(Signed { headers: all_headers(request, approved.headers, made), may_be_reused: approved.may_be_reused })
    }
}

/// The headers that make the signature.
fn signature(
    own: Credentials,
    region: &str,
    at: SystemTime,
    request: &S3Request<'_>,
    approved: &Approved,
) -> Result<Vec<(String, String)>, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    // Amazon S3 API, "Signature calculations": paths are encoded once, taken as they are, and the digest has its header.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = own.into();
    let params =
        v4::SigningParams::builder().identity(&identity).region(region).name("s3").time(at).settings(settings).build()?.into();
    let body = match &approved.payload {
        Payload::Unsigned => SignableBody::UnsignedPayload,
        Payload::UnsignedTrailer => SignableBody::StreamingUnsignedPayloadTrailer,
        Payload::Sha256(digest) => SignableBody::Precomputed(digest.clone()),
        Payload::TheBody => SignableBody::Bytes(request.body.unwrap_or_default().as_bytes()),
    };
    let headers = approved.headers.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    let signable = SignableRequest::new(request.method, Cow::Borrowed(request.uri), headers, body)?;
    let (made, _) = sign(signable, &params)?.into_parts();
    Ok(made.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect())
}

/// What the client is to send: some add the headers of the answer to their own, others send these alone.
fn all_headers(
    request: &S3Request<'_>,
    signed: Vec<(String, String)>,
    made: Vec<(String, String)>,
) -> BTreeMap<String, Vec<String>> {
    /// As most spell it; names have no case, but not every client knows.
    const AUTHORIZATION: &str = "Authorization";
    let is = |name: &str, other: &str| name.eq_ignore_ascii_case(other);
    let own = |name: &&(String, Vec<String>)| {
        !is(&name.0, "host") && !is(&name.0, "authorization") && !made.iter().any(|(set, _)| is(set, &name.0))
    };
    let mut headers: BTreeMap<String, Vec<String>> = request.headers.iter().filter(own).cloned().collect();
    for (name, value) in signed {
        let known = headers.iter_mut().find(|(known, _)| is(known, &name)).map(|(_, values)| values);
        match known {
            Some(values) => *values = vec![value],
            None => {
                headers.insert(name, vec![value]);
            }
        }
    }
    for (name, value) in made {
        let name = if is(&name, AUTHORIZATION) { AUTHORIZATION.to_owned() } else { name };
        headers.insert(name, vec![value]);
    }
    headers
}
