//! Refusals as problem details ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)), the same over REST and WebSocket.
//!
//! What is absent: the HTTP framework; `http` turns a [`Problem`] into an answer.

use serde::Serialize;
use std::borrow::Cow;
use utoipa::ToSchema;

/// A refusal: what is wrong, where, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(example = json!({"type": "https://tapeline.dev/problems/invalid_field", "title": "A field can't be read", "status": 422, "detail": "`price` has more than 8 decimal places", "code": "invalid_field", "field": "price"}))]
pub struct Problem {
    /// A URI that names the kind of problem; ends in the code.
    #[serde(rename = "type")]
    #[schema(value_type = String)]
    pub kind: Box<str>,
    /// The kind of problem in words, the same for each occurrence.
    #[schema(value_type = String)]
    pub title: &'static str,
    /// HTTP status.
    pub status: u16,
    /// A sentence about this occurrence.
    pub detail: String,
    /// Stable code, for programs.
    #[schema(value_type = String)]
    pub code: &'static str,
    /// The field of the request that is at fault.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    pub field: Option<Cow<'static, str>>,
    /// Seconds until another try makes sense.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem of a kind; `detail` says what, where and what to do.
    pub fn new(status: u16, code: &'static str, title: &'static str, detail: impl Into<String>) -> Self {
        Self {
            kind: format!("https://tapeline.dev/problems/{code}").into(),
            title,
            status,
            detail: detail.into(),
            code,
            field: None,
            retry_after_s: None,
        }
    }

    /// A field of a request that can't be what it should; `why` goes on after its name.
    pub fn invalid(field: impl Into<Cow<'static, str>>, why: impl std::fmt::Display) -> Self {
        let field = field.into();
        Self::new(422, "invalid_field", "A field can't be read", format!("`{field}` {why}")).of_field(field)
    }

    /// The same, of this field of the request.
    #[must_use]
    pub fn of_field(self, field: impl Into<Cow<'static, str>>) -> Self {
        Self { field: Some(field.into()), ..self }
    }

    /// The same, to be tried again after so many seconds.
    #[must_use]
    pub fn retry_after(self, seconds: u64) -> Self {
        Self { retry_after_s: Some(seconds), ..self }
    }
}
