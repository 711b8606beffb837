//! A passkey in software: ES256, a signature counter, `none` attestation; what a browser sends of it as JSON.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use p256::ecdsa::signature::Signer;
use p256::ecdsa::{Signature, SigningKey};
use serde_json::{Value as Json, json};
use sha2::{Digest, Sha256};

pub(crate) const ORIGIN: &str = "https://localhost:8443";

const USER_PRESENT: u8 = 0x01;
const USER_VERIFIED: u8 = 0x04;
const ATTESTED: u8 = 0x40;

pub(crate) struct Authenticator {
    key: SigningKey,
    id: Vec<u8>,
    /// 0 for one that does not count, as synchronised passkeys do.
    pub(crate) counter: u32,
    pub(crate) origin: String,
    pub(crate) rp_id: String,
    pub(crate) present: bool,
}

fn base64(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

impl Authenticator {
    pub(crate) fn new(number: u8, counter: u32) -> Self {
        Self {
            key: SigningKey::from_slice(&[number.max(1); 32]).unwrap(),
            id: vec![number; 20],
            counter,
            origin: ORIGIN.into(),
            rp_id: "localhost".into(),
            present: true,
        }
    }

    pub(crate) fn credential_id(&self) -> String {
        base64(&self.id)
    }

    fn client_data(&self, kind: &str, options: &Json) -> Vec<u8> {
        let challenge = &options["challenge"];
        json!({"type": kind, "challenge": challenge, "origin": self.origin, "crossOrigin": false}).to_string().into()
    }

    fn authenticator_data(&self, flags: u8) -> Vec<u8> {
        let present = if self.present { USER_PRESENT } else { 0 };
        let mut data = Sha256::digest(self.rp_id.as_bytes()).to_vec();
        data.push(flags | present);
        data.extend_from_slice(&self.counter.to_be_bytes());
        data
    }

    /// The public key as COSE: a CBOR map of kty EC2, alg ES256, crv P-256, x, y.
    fn cose_key(&self) -> Vec<u8> {
        let point = self.key.verifying_key().to_encoded_point(false);
        let mut cose = vec![0xa5, 0x01, 0x02, 0x03, 0x26, 0x20, 0x01, 0x21, 0x58, 32];
        cose.extend_from_slice(point.x().unwrap());
        cose.extend_from_slice(&[0x22, 0x58, 32]);
        cose.extend_from_slice(point.y().unwrap());
        cose
    }

    /// `navigator.credentials.create(…).toJSON()`.
    pub(crate) fn create(&self, options: &Json) -> Json {
        let client_data = self.client_data("webauthn.create", options);
        let mut data = self.authenticator_data(USER_VERIFIED | ATTESTED);
        data.extend_from_slice(&[0; 16]);
        data.extend_from_slice(&u16::try_from(self.id.len()).unwrap().to_be_bytes());
        data.extend_from_slice(&self.id);
        data.extend_from_slice(&self.cose_key());
        // CBOR: {"fmt": "none", "attStmt": {}, "authData": bytes}
        let mut object = vec![0xa3, 0x63];
        object.extend_from_slice(b"fmt\x64none\x67attStmt\xa0\x68authData\x58");
        object.push(u8::try_from(data.len()).unwrap());
        object.extend_from_slice(&data);
        json!({
            "id": self.credential_id(), "rawId": self.credential_id(), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(&client_data), "attestationObject": base64(&object),
                "transports": ["internal"],
            },
        })
    }

    /// `navigator.credentials.get(…).toJSON()`; one that counts counts on.
    pub(crate) fn get(&mut self, options: &Json) -> Json {
        if self.counter > 0 {
            self.counter += 1;
        }
        let client_data = self.client_data("webauthn.get", options);
        let data = self.authenticator_data(USER_VERIFIED);
        let signed = [&data[..], &Sha256::digest(&client_data)].concat();
        let signature: Signature = self.key.sign(&signed);
        json!({
            "id": self.credential_id(), "rawId": self.credential_id(), "type": "public-key",
            "authenticatorAttachment": "platform", "clientExtensionResults": {},
            "response": {
                "clientDataJSON": base64(&client_data), "authenticatorData": base64(&data),
                "signature": base64(signature.to_der().as_bytes()), "userHandle": null,
            },
        })
    }
}
