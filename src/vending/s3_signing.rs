//! S3: signs single requests with the catalog's own key (AWS Signature Version 4).

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SignableBody, SignableRequest, SigningSettings, UriPathNormalizationMode,
    sign,
};
use aws_sigv4::sign::v4;
use object_store::aws::AwsCredentialProvider;
use tidewater_core::storage::s3_request::{Approved, Payload, S3Request, approve};
use tidewater_core::storage::{Access, S3Profile};

use super::{Settings, Signed, ValidLocations, VendingError};

const SIGNING: &str = "The catalog's own key";

/// Returns the settings that make a client send its requests to `endpoint` for a signature. The endpoint is a path without a
/// host: clients append it to the address at which they reach the catalog, also through proxies.
pub(super) fn settings(endpoint: &str) -> Settings {
    let settings = [
        ("s3.remote-signing-enabled", "true".to_owned()),
        // Java reads the first since 1.11. Older versions and PyIceberg read the second.
        ("signer.endpoint", endpoint.to_owned()),
        ("s3.signer.endpoint", endpoint.to_owned()),
        // PyIceberg signs only with this signer and this file access, and chooses neither by itself.
        ("s3.signer", "S3V4RestSigner".to_owned()),
        ("py-io-impl", "pyiceberg.io.fsspec.FsspecFileIO".to_owned()),
    ];
    settings.map(|(name, value)| (name.to_owned(), value)).into()
}

/// Signs requests to the storage of one warehouse.
#[derive(Debug, Clone, Copy)]
pub(super) struct S3Signer<'a> {
    pub(super) profile: &'a S3Profile,
    /// The catalog's own credentials.
    pub(super) own: &'a AwsCredentialProvider,
}

impl S3Signer<'_> {
    /// Signs a request with the catalog's own key for the warehouse. The request must concern files in these locations, within
    /// `access`. The signature has the warehouse's region, whatever region the client sends: the store accepts no other.
    ///
    /// # Errors
    /// `NotSigned`; `Unavailable` when the key cannot be obtained.
    pub(super) async fn sign(
        &self,
        locations: &ValidLocations,
        access: Access,
        request: &S3Request<'_>,
        now_ms: i64,
    ) -> Result<Signed, VendingError> {
        let approved = approve(self.profile, locations.as_slice(), access, request)?;
        let unavailable =
            |error: &dyn std::fmt::Display| VendingError::Unavailable { service: SIGNING, message: error.to_string() };
        let own = self.own.get_credential().await.map_err(|error| unavailable(&error))?;
        let own = Credentials::new(&own.key_id, &own.secret_key, own.token.clone(), None, "warehouse");
        let at = SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(now_ms).unwrap_or_default());
        let made = signature(own, &self.profile.region, at, request, &approved);
        let made = made.map_err(|error| unavailable(&error))?;
        Ok(Signed { headers: all_headers(request, approved.headers, made), may_be_reused: approved.may_be_reused })
    }
}

/// Returns the headers of the signature.
fn signature(
    own: Credentials,
    region: &str,
    at: SystemTime,
    request: &S3Request<'_>,
    approved: &Approved,
) -> Result<Vec<(String, String)>, Box<dyn std::error::Error + Send + Sync>> {
    let mut settings = SigningSettings::default();
    // Amazon S3 API, "Signature calculations": paths are encoded once and not normalised, and the digest is sent as a header.
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    let identity = own.into();
    let params = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name("s3")
        .time(at)
        .settings(settings)
        .build()?
        .into();
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

/// Returns all headers that the client must send, since some clients send only the headers of the answer. `signed` are the
/// request's signed headers, `made` those of the signature.
fn all_headers(
    request: &S3Request<'_>,
    signed: Vec<(String, String)>,
    made: Vec<(String, String)>,
) -> BTreeMap<String, Vec<String>> {
    /// The header's usual spelling. Not every client ignores case.
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

#[cfg(test)]
mod tests {
    use super::*;

    /// 2013-05-24, 00:00:00 UTC: the time in the examples of Amazon S3's API reference.
    const THEN_S: u64 = 1_369_353_600;

    fn key(token: Option<&str>) -> Credentials {
        let secret = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY";
        Credentials::new("AKIAIOSFODNN7EXAMPLE", secret, token.map(str::to_owned), None, "test")
    }

    fn made(own: Credentials, method: &str, uri: &str, approved: &Approved) -> BTreeMap<String, String> {
        let request = S3Request { method, uri, headers: &[], body: Some("<Delete/>") };
        let at = SystemTime::UNIX_EPOCH + Duration::from_secs(THEN_S);
        signature(own, "us-east-1", at, &request, approved).unwrap().into_iter().collect()
    }

    fn approved(headers: &[(&str, &str)], payload: Payload) -> Approved {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        Approved { headers, payload, may_be_reused: false }
    }

    fn hash_of_nothing() -> Payload {
        Payload::Sha256("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855".to_owned())
    }

    #[test]
    fn signature_equals_those_in_amazons_examples() {
        // Amazon S3 API reference, "Signature calculations for the Authorization header": GET Object, list objects.
        let uri = "https://examplebucket.s3.amazonaws.com/test.txt";
        let get = made(key(None), "GET", uri, &approved(&[("range", "bytes=0-9")], hash_of_nothing()));
        let signature = "Signature=f0e8bdb87c964420e857bd35b5d6ed310bd44f0170aba48dd91039c6036bdb41";
        assert!(get["authorization"].ends_with(signature), "{get:?}");
        let uri = "https://examplebucket.s3.amazonaws.com/?max-keys=2&prefix=J";
        let list = made(key(None), "GET", uri, &approved(&[], hash_of_nothing()));
        assert_eq!(
            list["authorization"],
            "AWS4-HMAC-SHA256 Credential=AKIAIOSFODNN7EXAMPLE/20130524/us-east-1/s3/aws4_request, \
             SignedHeaders=host;x-amz-content-sha256;x-amz-date, \
             Signature=34b48302e7b5fa45bde8084f4b7868a86f0a534bc59db6670ed5711ef69dc6f7"
        );
        assert_eq!(list["x-amz-date"], "20130524T000000Z");
    }

    #[test]
    fn temporary_key_adds_its_token_as_a_signed_header() {
        let made = made(key(Some("token")), "GET", "https://b.s3.amazonaws.com/a", &approved(&[], Payload::Unsigned));
        assert_eq!(made["x-amz-security-token"], "token");
        assert!(made["authorization"].contains(";x-amz-security-token,"), "{made:?}");
        assert_eq!(made["x-amz-content-sha256"], "UNSIGNED-PAYLOAD");
    }

    #[test]
    fn body_of_a_delete_request_is_part_of_the_signature() {
        let sent = |payload| made(key(None), "POST", "https://b.s3.amazonaws.com/?delete", &approved(&[], payload));
        // sha256("<Delete/>")
        let digest = "e2000f6b1fc1db795626ddaf9c13324157e9f56cb7820b40d7c3253a08ee5b91";
        assert_eq!(sent(Payload::TheBody)["x-amz-content-sha256"], digest);
        assert_eq!(sent(Payload::UnsignedTrailer)["x-amz-content-sha256"], "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    }

    #[test]
    fn answer_has_each_header_to_send_once() {
        let header = |name: &str, value: &str| (name.to_owned(), vec![value.to_owned()]);
        let headers = [
            header("Range", "bytes=0-7"),
            header("Host", "evil.example.com"),
            header("authorization", "mine"),
            header("X-Amz-Date", "yesterday"),
            header("X-Amz-Copy-Source-If-Match", "*"),
        ];
        let request = S3Request { method: "GET", uri: "", headers: &headers, body: None };
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let guard = pair("x-amz-copy-source-if-match", "none");
        let made = vec![pair("x-amz-date", "now"), pair("authorization", "AWS4")];
        let all = all_headers(&request, vec![guard, pair("x-new", "1")], made);
        let expected = [
            header("Authorization", "AWS4"),
            header("Range", "bytes=0-7"),
            header("X-Amz-Copy-Source-If-Match", "none"),
            header("x-amz-date", "now"),
            header("x-new", "1"),
        ];
        assert_eq!(all, BTreeMap::from(expected));
    }
}
