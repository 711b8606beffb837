//! The gateway's audit trail: `gateway.audit`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// What was done, or tried, with users, sessions and keys. Record key: the user id, or the address where no user
    /// is known.
    GatewayAudit {
        /// When, by the gateway's clock, milliseconds since the Unix epoch.
        at_ms: i64,
        /// What was tried.
        kind: AuditKind,
        /// Whether it was done.
        outcome: AuditOutcome,
        /// Who, if known.
        user_id: Option<SmolStr>,
        /// The login that was given, if one was.
        login: Option<SmolStr>,
        /// Internet address of the client.
        address: SmolStr,
        /// What the client says it is, cut to 256 characters.
        user_agent: Option<SmolStr>,
        /// A sentence for people.
        text: SmolStr,
    }
}

wire_enum! {
    /// What was tried. REFRESH and REQUEST are written where they are refused only. REQUEST is any other request, refused
    /// for who asked or how often. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    AuditKind {
        SignUp = "SIGN_UP",
        LogIn = "LOG_IN",
        SecondFactor = "SECOND_FACTOR",
        Refresh = "REFRESH",
        LogOut = "LOG_OUT",
        PasskeyAdded = "PASSKEY_ADDED",
        PasskeyRemoved = "PASSKEY_REMOVED",
        KeyCreated = "KEY_CREATED",
        KeyRevoked = "KEY_REVOKED",
        UserChanged = "USER_CHANGED",
        Request = "REQUEST",
    }
}

wire_enum! {
    /// Whether it was done. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    AuditOutcome {
        Done = "DONE",
        Refused = "REFUSED",
    }
}
