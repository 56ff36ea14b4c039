//! Signatures of webhooks in the form of Standard Webhooks (<https://github.com/standard-webhooks/standard-webhooks>).

use aws_lc_rs::hmac;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use crate::base::secret::Secret;

/// The start of a secret's text.
const PREFIX: &str = "whsec_";

/// The length of a secret in bytes.
const SECRET_BYTES: usize = 32;

/// Creates a secret, as text for its receiver.
///
/// # Errors
/// The system gives no random bytes.
pub fn fresh_secret() -> Result<Secret<String>, getrandom::Error> {
    let mut bytes = [0; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    Ok(Secret::new(format!("{PREFIX}{}", STANDARD.encode(bytes))))
}

/// Returns the value of `webhook-signature`: HMAC-SHA256 over id, time in seconds and body, with each secret.
pub(super) fn signature(secrets: &[Secret<String>], id: &str, time_s: i64, body: &[u8]) -> String {
    let signed = |secret: &Secret<String>| {
        let text = secret.expose();
        let text = text.strip_prefix(PREFIX).unwrap_or(text);
        let bytes = STANDARD.decode(text).unwrap_or_else(|_| text.as_bytes().to_vec());
        let key = hmac::Key::new(hmac::HMAC_SHA256, &bytes);
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{time_s}.").as_bytes());
        context.update(body);
        format!("v1,{}", STANDARD.encode(context.sign()))
    };
    secrets.iter().map(signed).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signature_is_that_of_the_specification() {
        // The example in the specification's reference libraries.
        let secret = Secret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".to_owned());
        let body = br#"{"test": 2432232314}"#;
        let signed = signature(std::slice::from_ref(&secret), "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert_eq!(signed, "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=");
        let both = signature(&[fresh_secret().unwrap(), secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", 1_614_265_330, body);
        assert!(both.ends_with(&format!(" {signed}")));
    }
}
