//! What time it is, for the edges: clients' answers, ages, logs. No rule and no processor looks at it; their time comes from records.

use std::time::{SystemTime, UNIX_EPOCH};

/// Now, milliseconds since the Unix epoch.
pub fn now_ms() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
}
