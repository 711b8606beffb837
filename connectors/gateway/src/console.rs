//! Serves the web console, which the build has put into the binary (`build.rs`, `connectors/console`).
//!
//! Files with a hash in their name are kept for ever, all else is asked for again each time: so a new version shows at the next
//! load. The console finds its way by itself: each of its pages is the same document.

use crate::gateway::Gateway;
use axum::Router;
use axum::extract::Path;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use include_dir::{Dir, include_dir};
use std::sync::Arc;
use tower_http::compression::CompressionLayer;

static FILES: Dir<'_> = include_dir!("$OUT_DIR/console/dist");

/// Pages of the console, as its own router knows them (`connectors/console/src/router.ts`).
const PAGES: [&str; 8] =
    ["/", "/trade", "/trade/{instrument}", "/analytics", "/pipeline", "/account", "/log-in", "/sign-up"];
/// Files that have the same name in each version.
const FIXED: [&str; 5] = ["sw.js", "manifest.webmanifest", "icon.svg", "icon-192.png", "icon-512.png"];

/// The routes of the console.
pub fn routes() -> Router<Arc<Gateway>> {
    let mut router = Router::new();
    for page in PAGES {
        router = router.route(page, get(async || file("index.html", "no-cache")));
    }
    for name in FIXED {
        router = router.route(&format!("/{name}"), get(async move || file(name, "no-cache")));
    }
    let hashed =
        async |Path(name): Path<String>| file(&format!("assets/{name}"), "public, max-age=31536000, immutable");
    router.route("/assets/{name}", get(hashed)).layer(CompressionLayer::new())
}

fn file(name: &str, caching: &'static str) -> Response {
    let Some(file) = FILES.get_file(name) else {
        return (StatusCode::NOT_FOUND, "no such file of the console; load the page again\n").into_response();
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(content_type(name))),
        (header::CACHE_CONTROL, HeaderValue::from_static(caching)),
    ];
    (headers, file.contents()).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit_once('.').map_or("", |(_, ending)| ending) {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "webmanifest" => "application/manifest+json",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_file_of_the_build_is_served_with_its_type() {
        let assets = FILES.get_dir("assets").map(|folder| folder.files().collect::<Vec<_>>()).unwrap_or_default();
        assert!(!assets.is_empty(), "the build has made no assets");
        let names = FILES.files().chain(assets).map(|file| file.path().display().to_string());
        for name in names {
            let is_routed = name == "index.html" || name.starts_with("assets/") || FIXED.contains(&name.as_str());
            assert!(is_routed, "{name} has no route");
            assert_ne!(content_type(&name), "application/octet-stream", "{name}");
        }
        for name in FIXED {
            assert!(FILES.get_file(name).is_some(), "{name}");
        }
    }
}
