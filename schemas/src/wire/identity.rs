//! Users, sessions, API keys and signing keys of the gateway: `identity.*`. Pure shapes; the rules are in the crate
//! `tapeline-identity`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::{wire_enum, wire_record};
use serde_bytes::ByteBuf;
use smol_str::SmolStr;

wire_record! {
    /// A user of the gateway. Record key: the user id. Compacted. A record is the whole user; of two with the same
    /// revision the first one in the log counts. An ended user is a record that says so.
    IdentityUser {
        /// Identity of the user, 16 random bytes in URL-safe base64; must equal the record's key.
        user_id: SmolStr,
        /// 0 at sign-up, then one more with each change. A revision above 0 proves that the user had won its login.
        revision: i64,
        /// The login as the user wrote it: 3 to 64 ASCII letters, digits and ._-@+
        login: SmolStr,
        /// The login in lower case; belongs to one user that is not VOID.
        login_key: SmolStr,
        /// How the user wants to be called, up to 64 characters.
        display_name: SmolStr,
        /// Argon2id in PHC string format; empty if the user is VOID.
        password_hash: SmolStr,
        /// What the user may do beyond trading.
        roles: Vec<IdentityRole>,
        /// The trading account, `u-` and 12 random characters: all that trading topics know of the user.
        account: SmolStr,
        /// Second factors; a log-in needs one of them if there are any.
        passkeys: Vec<IdentityPasskey>,
        /// Whether the user may log in.
        status: IdentityUserStatus,
        /// When the user signed up, milliseconds since the Unix epoch.
        created_ms: i64,
        /// When this revision was made, milliseconds since the Unix epoch.
        updated_ms: i64,
    }
}

wire_record! {
    /// A passkey: the public half of a WebAuthn credential.
    IdentityPasskey {
        /// The authenticator's id of the credential, URL-safe base64.
        credential_id: SmolStr,
        /// The user's name for it, up to 64 characters.
        label: SmolStr,
        /// Public key and fixed properties, in the format of the crate webauthn_rp 0.3 (StaticState).
        public_key: ByteBuf,
        /// Signature counter and flags as last seen, in the format of the crate webauthn_rp 0.3 (DynamicState).
        state: ByteBuf,
        /// How browsers may reach the authenticator: a bit set of the crate webauthn_rp 0.3 (AuthTransports).
        transports: i32,
        /// When it was registered, milliseconds since the Unix epoch.
        created_ms: i64,
    }
}

wire_record! {
    /// A family of refresh tokens: one log-in and all that was refreshed from it. Record key: the family id.
    /// Compacted. The first record of a generation counts; a second one with other content ends the family, and an
    /// ended family stays ended.
    IdentitySession {
        /// Identity of the family, 16 random bytes in URL-safe base64; must equal the record's key.
        family_id: SmolStr,
        /// Whose session it is.
        user_id: SmolStr,
        /// 1 at log-in, then one more with each refresh.
        generation: i64,
        /// SHA-256 of the current refresh token, 32 bytes.
        token_hash: ByteBuf,
        /// SHA-256 of the refresh token of the generation before, 32 bytes: it may be shown again for 10 seconds.
        previous_hash: Option<ByteBuf>,
        /// When the user logged in, milliseconds since the Unix epoch.
        created_ms: i64,
        /// When this generation was made, milliseconds since the Unix epoch.
        rotated_ms: i64,
        /// When the family ends, however often it is refreshed, milliseconds since the Unix epoch.
        expires_ms: i64,
        /// When a passkey was shown at log-in, milliseconds since the Unix epoch.
        second_factor_ms: Option<i64>,
        /// Set if the family was revoked: final.
        ended: Option<SessionEnd>,
    }
}

wire_record! {
    /// An API key for programs. Record key: the key id. Compacted. Nothing of it changes but that it may be revoked,
    /// which is final.
    IdentityKey {
        /// Identity of the key, 12 random characters; must equal the record's key.
        key_id: SmolStr,
        /// Whose key it is.
        user_id: SmolStr,
        /// The trading account that it acts for.
        account: SmolStr,
        /// SHA-256 of the secret, 32 bytes.
        secret_hash: ByteBuf,
        /// The user's name for it, up to 64 characters.
        label: SmolStr,
        /// What it may do.
        scopes: Vec<IdentityScope>,
        /// When it was made, milliseconds since the Unix epoch.
        created_ms: i64,
        /// When it ends, milliseconds since the Unix epoch.
        expires_ms: i64,
        /// When it was revoked, milliseconds since the Unix epoch.
        revoked_ms: Option<i64>,
    }
}

wire_record! {
    /// The public half of a key with which a gateway signs access tokens. Record key: the kid. Compacted. Private
    /// halves never leave their gateway's memory.
    IdentitySigner {
        /// Thumbprint of the public key as a JWK (RFC 7638), URL-safe base64; must equal the record's key.
        kid: SmolStr,
        /// Ed25519 public key, 32 bytes.
        public_key: ByteBuf,
        /// When it was made, milliseconds since the Unix epoch.
        created_ms: i64,
        /// Until when its signatures count, milliseconds since the Unix epoch. The earliest one that was ever written
        /// counts.
        not_after_ms: i64,
    }
}

wire_enum! {
    /// What a user may do beyond trading. OPERATOR may see the pipeline. UNKNOWN is never written; a reader sees it
    /// for a symbol newer than its schema.
    IdentityRole {
        Operator = "OPERATOR",
    }
}

wire_enum! {
    /// ACTIVE may log in. DISABLED may not, until an operator says otherwise. VOID lost the race for its login and
    /// never counts; it stays VOID. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    IdentityUserStatus {
        Active = "ACTIVE",
        Disabled = "DISABLED",
        Void = "VOID",
    }
}

wire_enum! {
    /// Why a session ended. TOKEN_REUSED: a former refresh token was shown. CONFLICT: two gateways wrote the same
    /// generation. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    SessionEnd {
        LoggedOut = "LOGGED_OUT",
        TokenReused = "TOKEN_REUSED",
        Conflict = "CONFLICT",
        UserDisabled = "USER_DISABLED",
        PasswordChanged = "PASSWORD_CHANGED",
    }
}

wire_enum! {
    /// What a bearer may do. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    IdentityScope {
        Read = "READ",
        Trade = "TRADE",
        Withdraw = "WITHDRAW",
    }
}
