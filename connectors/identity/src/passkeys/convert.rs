//! Passkeys as they stand in a user's record, to and from the types of `webauthn_rp`.

use crate::ids::{self, ID_BYTES};
use crate::refusal::Refusal;
use serde_bytes::ByteBuf;
use tapeline_schemas::wire::{IdentityPasskey, IdentityUser};
use webauthn_rp::bin::{Decode, Encode};
use webauthn_rp::request::auth::AllowedCredentials;
use webauthn_rp::request::register::UserHandle;
use webauthn_rp::request::{Credentials, PublicKeyCredentialDescriptor};
use webauthn_rp::response::register::{CompressedPubKey, DynamicState, StaticState};
use webauthn_rp::response::{AuthTransports, CredentialId};
use webauthn_rp::{AuthenticatedCredential, RegisteredCredential};

pub(super) type Handle = UserHandle<ID_BYTES>;
type OwnedKey = CompressedPubKey<[u8; 32], [u8; 32], [u8; 48], Vec<u8>>;

fn damaged(what: &'static str) -> impl Fn() -> Refusal {
    move || Refusal::internal("a passkey's record is damaged", what)
}

/// What authenticators know of the user: the 16 bytes of its id.
pub(super) fn handle_of(user_id: &str) -> Result<Handle, Refusal> {
    let bytes = ids::from_base64(user_id).and_then(|bytes| <[u8; ID_BYTES]>::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(damaged("user id"))?;
    Ok(Handle::decode(bytes).unwrap_or_else(|never| match never {}))
}

fn descriptors(user: &IdentityUser) -> impl Iterator<Item = PublicKeyCredentialDescriptor<Vec<u8>>> {
    // A damaged one is left out: it can't be shown, but the others can.
    user.passkeys.iter().filter_map(|passkey| {
        let id = CredentialId::decode(ids::from_base64(&passkey.credential_id)?).ok()?;
        let transports = AuthTransports::decode(u8::try_from(passkey.transports).ok()?).ok()?;
        Some(PublicKeyCredentialDescriptor { id, transports })
    })
}

/// The passkeys that the user may not register again.
pub(super) fn excluded(user: &IdentityUser) -> Vec<PublicKeyCredentialDescriptor<Vec<u8>>> {
    descriptors(user).collect()
}

/// The passkeys that the user may show.
pub(super) fn allowed(user: &IdentityUser) -> AllowedCredentials {
    let mut allowed = AllowedCredentials::with_capacity(user.passkeys.len());
    for descriptor in descriptors(user) {
        allowed.push(descriptor.into());
    }
    allowed
}

/// A new passkey as it is stored.
pub(super) fn stored(
    credential: &RegisteredCredential<'_, ID_BYTES>,
    label: &str,
    now_ms: i64,
) -> Result<IdentityPasskey, Refusal> {
    let public_key = credential.static_state().encode().unwrap_or_else(|never| match never {});
    let transports = credential.transports().encode().unwrap_or_else(|never| match never {});
    Ok(IdentityPasskey {
        credential_id: ids::base64(credential.id().as_ref()).into(),
        label: label.into(),
        public_key: ByteBuf::from(public_key),
        state: state(credential.dynamic_state())?,
        transports: transports.into(),
        created_ms: now_ms,
    })
}

/// Counter and flags as they are stored.
pub(super) fn state(state: DynamicState) -> Result<ByteBuf, Refusal> {
    let bytes = state.encode().unwrap_or_else(|never| match never {});
    Ok(ByteBuf::from(bytes.to_vec()))
}

/// A stored passkey as it is checked.
pub(super) fn authenticated<'id, 'user>(
    passkey: &IdentityPasskey,
    id: CredentialId<&'id [u8]>,
    handle: &'user Handle,
) -> Result<AuthenticatedCredential<'id, 'user, ID_BYTES, OwnedKey>, Refusal> {
    let key = StaticState::<OwnedKey>::decode(&passkey.public_key).map_err(|_| damaged("public key")())?;
    let state = <[u8; 7]>::try_from(passkey.state.as_slice()).map_err(|_| damaged("state")())?;
    let state = DynamicState::decode(state).map_err(|_| damaged("state")())?;
    AuthenticatedCredential::new(id, handle, key, state).map_err(|_| damaged("public key and state")())
}
