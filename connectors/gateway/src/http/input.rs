//! Bodies, queries and path segments of requests, with a problem for each way in which they can be wrong.
//!
//! What is absent: the rules of trading; the validator has those.

use crate::problem::Problem;
use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Path, Request};
use axum::http::HeaderMap;
use axum::http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;

/// Largest body.
pub const MAX_BODY_BYTES: usize = 16 << 10;
/// Deepest nesting of objects and arrays.
pub const MAX_DEPTH: usize = 8;

/// A JSON body.
pub struct Json<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _state: &S) -> Result<Self, Problem> {
        check_head(request.headers())?;
        let body = to_bytes(request.into_body(), MAX_BODY_BYTES).await;
        parse(&body.map_err(|error| unread_body(&error))?).map(Self)
    }
}

fn check_head(headers: &HeaderMap) -> Result<(), Problem> {
    let header = |name| headers.get(name).and_then(|value| value.to_str().ok());
    let media_type = header(CONTENT_TYPE).map_or("", |value| value.split(';').next().unwrap_or_default().trim());
    if !media_type.eq_ignore_ascii_case("application/json") {
        let detail = "send the body as JSON, with the header `Content-Type: application/json`";
        return Err(Problem::new(415, "unsupported_media_type", "Not JSON", detail));
    }
    let length = header(CONTENT_LENGTH).and_then(|length| length.parse::<usize>().ok());
    if length.is_some_and(|bytes| bytes > MAX_BODY_BYTES) { Err(too_large()) } else { Ok(()) }
}

fn too_large() -> Problem {
    let detail = format!("a body has at most {MAX_BODY_BYTES} bytes");
    Problem::new(413, "body_too_large", "The body is too large", detail)
}

/// The body was too large, or its sender stopped within it.
fn unread_body(error: &axum::Error) -> Problem {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = cause {
        if error.is::<http_body_util::LengthLimitError>() {
            return too_large();
        }
        cause = error.source();
    }
    Problem::new(400, "body_cut_off", "The body can't be read", "the body ended before its end: send it again")
}

/// Reads JSON: of a body, or of a message.
///
/// # Errors
/// 400 if it is no JSON or too deep, 422 with the field if one is missing, unknown or wrong.
pub fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    if depth(bytes) > MAX_DEPTH {
        let detail = format!("objects and arrays are nested deeper than {MAX_DEPTH}");
        return Err(Problem::new(400, "too_deep", "The JSON is too deep", detail));
    }
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let error = error.into_inner();
        // Of a symbol that is no text serde says that the JSON is none.
        let is_json = || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        if error.is_data() || is_json() { wrong_field(&path, &error.to_string()) } else { malformed(&error) }
    })?;
    json.end().map_err(|error| malformed(&error))?;
    Ok(value)
}

/// Reads JSON that has been taken apart already.
///
/// # Errors
/// 422 with the field if one is missing, unknown or wrong.
pub fn read<T: DeserializeOwned>(value: serde_json::Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value)
        .map_err(|error| wrong_field(&error.path().to_string(), &error.inner().to_string()))
}

fn malformed(error: &serde_json::Error) -> Problem {
    Problem::new(400, "malformed_json", "Not JSON", format!("the body is no JSON: {error}"))
}

/// How deep objects and arrays are nested. Of what is no JSON it gives some number.
pub fn depth(bytes: &[u8]) -> usize {
    let (mut depth, mut deepest, mut in_text, mut escaped) = (0_usize, 0, false, false);
    for byte in bytes {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_text => escaped = true,
            b'"' => in_text = !in_text,
            b'{' | b'[' if !in_text => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' if !in_text => depth = depth.saturating_sub(1),
            _ => {}
        }
    }
    deepest
}

/// What serde says of a field, as a problem. Serde tells names that are missing or unknown in its sentence only.
fn wrong_field(path: &str, said: &str) -> Problem {
    let said = said.split(" at line ").next().unwrap_or(said);
    let named = said.split('`').nth(1).unwrap_or_default().to_owned();
    let (code, title, detail) = match said.split(" `").next() {
        Some("unknown field") => {
            let known = said.split_once("`, ").map_or("", |(_, known)| known);
            ("unknown_field", "A field is unknown", format!("there is no field `{named}`: {known}"))
        }
        Some("missing field") => ("missing_field", "A field is missing", format!("`{named}` is missing")),
        Some("duplicate field") => ("duplicate_field", "A field is there twice", format!("`{named}` is there twice")),
        _ if path == "." => {
            return Problem::new(422, "invalid_body", "The body can't be read", format!("the body: {said}"));
        }
        _ => return Problem::invalid(path.to_owned(), format_args!("can't be read: {said}")),
    };
    Problem::new(422, code, title, detail).of_field(named)
}

/// A query string.
pub struct Query<T>(pub T);

impl<T: DeserializeOwned, S: Send + Sync> FromRequestParts<S> for Query<T> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Problem> {
        let query = parts.uri.query().unwrap_or_default();
        let pairs = serde_urlencoded::Deserializer::new(url::form_urlencoded::parse(query.as_bytes()));
        serde_path_to_error::deserialize(pairs)
            .map(Self)
            .map_err(|error| wrong_field(&error.path().to_string(), &error.inner().to_string()))
    }
}

/// The one variable segment of a path.
pub struct Segment(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Segment {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let segment = Path::<String>::from_request_parts(parts, state).await;
        segment.map(|Path(segment)| Self(segment)).map_err(|error| {
            Problem::new(400, "malformed_path", "The path can't be read", format!("the path: {}", error.body_text()))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;

    #[derive(Debug, Deserialize, PartialEq)]
    #[serde(deny_unknown_fields)]
    struct Wanted {
        name: String,
        count: Option<u32>,
    }

    #[test]
    fn each_way_to_be_wrong_has_its_problem_and_names_the_field() {
        for (body, status, code, field) in [
            (r#"{"name":"a","count":1,"price":2}"#, 422, "unknown_field", Some("price")),
            (r#"{"count":1}"#, 422, "missing_field", Some("name")),
            (r#"{"name":"a","name":"b"}"#, 422, "duplicate_field", Some("name")),
            (r#"{"name":"a","count":"1"}"#, 422, "invalid_field", Some("count")),
            (r#"{"name":"a","count":-1}"#, 422, "invalid_field", Some("count")),
            (r#""text""#, 422, "invalid_body", None),
            (r#"{"name":"#, 400, "malformed_json", None),
            (r#"{"name":"a"} x"#, 400, "malformed_json", None),
            ("", 400, "malformed_json", None),
            (r#"{"name":[[[[[[[[1]]]]]]]]}"#, 400, "too_deep", None),
        ] {
            let problem = parse::<Wanted>(body.as_bytes()).expect_err(body);
            assert_eq!((problem.status, problem.code, problem.field.as_deref()), (status, code, field), "{body}");
            assert!(!problem.detail.is_empty() && !problem.detail.contains("at line") | (code == "malformed_json"));
        }
        let read: Wanted = parse(br#"{"name":"[[[[[[[[[{{{"}"#).expect("brackets in a text are none");
        assert_eq!(read, Wanted { name: "[[[[[[[[[{{{".into(), count: None });
    }

    #[test]
    fn depth_counts_brackets_outside_of_texts() {
        for (json, expected) in
            [("1", 0), ("{}", 1), (r#"{"a":[1]}"#, 2), (r#"["\"[", [[]]]"#, 3), ("]]][", 1), (r#"["[[["#, 1)]
        {
            assert_eq!(depth(json.as_bytes()), expected, "{json}");
        }
    }
}
