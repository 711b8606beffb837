//! The key with which one gateway signs. It is made at the gateway's start and lives in its memory only; its public half
//! goes to `identity.signers`, where all gateways find it by its kid.

use crate::ids;
use crate::refusal::Refusal;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rand_core::CryptoRng;
use serde::Serialize;
use serde_bytes::ByteBuf;
use smol_str::SmolStr;
use std::fmt;
use tapeline_schemas::wire::IdentitySigner;

/// How long a public key outlives the last signature made with it: twice the life of an access token.
const AFTER_ROTATION_MS: i64 = 600_000;

/// A private key, and what the others need to know of it.
pub struct Signer {
    key: EncodingKey,
    record: IdentitySigner,
    rotate_at_ms: i64,
}

impl Signer {
    /// A new key that signs for `rotate_after_ms`. [`Signer::record`] must be published and read back before the first use, or
    /// other gateways would refuse what it signs.
    ///
    /// # Errors
    /// [`Code::Internal`](crate::Code::Internal) if the key can't be encoded.
    pub fn generate(now_ms: i64, rotate_after_ms: i64, rng: &mut impl CryptoRng) -> Result<Self, Refusal> {
        let key = SigningKey::from_bytes(&ids::random(rng));
        let public = key.verifying_key().to_bytes();
        let der = key.to_pkcs8_der().map_err(|error| Refusal::internal("a signing key can't be encoded", error))?;
        let rotate_at_ms = now_ms.saturating_add(rotate_after_ms);
        let record = IdentitySigner {
            kid: thumbprint(&public),
            public_key: ByteBuf::from(public.to_vec()),
            created_ms: now_ms,
            not_after_ms: rotate_at_ms.saturating_add(AFTER_ROTATION_MS),
        };
        Ok(Self { key: EncodingKey::from_ed_der(der.as_bytes()), record, rotate_at_ms })
    }

    /// The public half, for `identity.signers`.
    pub const fn record(&self) -> &IdentitySigner {
        &self.record
    }

    /// Whether it is time for a new key. The old one's signatures count on until they expire.
    pub const fn is_due(&self, now_ms: i64) -> bool {
        now_ms >= self.rotate_at_ms
    }

    /// `claims` as a compact JWS whose header says `typ` and the kid.
    pub(crate) fn sign(&self, typ: &str, claims: &impl Serialize) -> Result<String, Refusal> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(typ.to_owned());
        header.kid = Some(self.record.kid.to_string());
        let signed = jsonwebtoken::encode(&header, claims, &self.key);
        signed.map_err(|error| Refusal::internal("a token can't be signed", error))
    }
}

impl fmt::Debug for Signer {
    /// Without the private half.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Signer({})", self.record.kid)
    }
}

/// The record that ends a key at once, for when its private half may be known to others.
pub fn retired(signer: &IdentitySigner, now_ms: i64) -> IdentitySigner {
    IdentitySigner { not_after_ms: signer.not_after_ms.min(now_ms), ..signer.clone() }
}

/// Thumbprint of an Ed25519 key as a JWK (RFC 7638, RFC 8037 appendix A.3).
pub(crate) fn thumbprint(public_key: &[u8]) -> SmolStr {
    let jwk = format!(r#"{{"crv":"Ed25519","kty":"OKP","x":"{}"}}"#, ids::base64(public_key));
    ids::base64(&ids::sha256(jwk.as_bytes())).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8037, appendix A.3.
    #[test]
    fn a_kid_is_the_thumbprint_of_rfc_8037() {
        let public = ids::from_base64("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo").unwrap_or_default();
        assert_eq!(thumbprint(&public), "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k");
    }
}
