//! The OpenAPI document and the router say the same.

use crate::support::Fixture;
use serde_json::Value;

/// Answers that every route of its kind must document.
const OF_ALL: [&str; 3] = ["429", "500", "503"];

fn operations(document: &Value) -> Vec<(String, String, Value)> {
    let paths = document["paths"].as_object().unwrap();
    let of_path = |(path, item): (&String, &Value)| {
        let operations = item.as_object().unwrap().clone().into_iter();
        operations.map(|(method, operation)| (path.clone(), method.to_uppercase(), operation)).collect::<Vec<_>>()
    };
    paths.iter().flat_map(of_path).collect()
}

#[tokio::test]
async fn each_documented_operation_is_routed_and_each_other_method_of_its_path_is_not() {
    let fixture = Fixture::new();
    let document = fixture.ask("GET", "/v1/openapi.json", "").await.json();
    assert_eq!(document["openapi"], "3.1.0");
    let operations = operations(&document);
    for (path, _, _) in &operations {
        for method in ["GET", "POST", "PUT", "PATCH", "DELETE"] {
            let is_documented = operations.iter().any(|(other, its, _)| other == path && its == method);
            let asked = path.replace("{client_order_id}", "a").replace("{symbol}", "a").replace("{id}", "a");
            let answer = fixture.ask(method, &asked, "").await;
            assert_eq!(answer.status != 405 && answer.status != 404, is_documented, "{method} {path}: {}", answer.text);
        }
    }
}

/// The router can't be asked for its routes, so the test reads where they are made: every handler stands in a `routes!`,
/// which takes path and method from the document's own annotation.
#[test]
fn no_route_of_the_interface_is_made_without_its_description() {
    let mut described = 0;
    for file in files("src") {
        let text = std::fs::read_to_string(&file).unwrap();
        // What operations ask, and files of the console, are no part of the interface.
        let is_probe =
            |line: &str| ["/healthz", "/readyz", "/metrics", "/assets/"].iter().any(|probe| line.contains(probe));
        let bare: Vec<&str> = text
            .lines()
            .filter(|line| line.contains(".route(\"") && !line.contains("/v1/ws") && !is_probe(line))
            .collect();
        assert!(bare.is_empty(), "{file}: {bare:?}: use `routes!`");
        described += text.matches("#[utoipa::path(").count();
    }
    let (_, document) = tapeline_gateway::http::routes();
    let document = serde_json::to_value(document).unwrap();
    assert_eq!(operations(&document).len(), described, "a handler is annotated and not routed, or the other way round");
}

fn files(folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let of = |path: std::path::PathBuf| match path.is_dir() {
        true => files(path.to_str().unwrap()),
        false => vec![path.to_str().unwrap().to_owned()],
    };
    entries.flat_map(of).collect()
}

#[tokio::test]
async fn every_operation_documents_its_answers_and_problems() {
    let (_, document) = tapeline_gateway::http::routes();
    let document = serde_json::to_value(document).unwrap();
    for (path, method, operation) in operations(&document) {
        let at = format!("{method} {path}");
        assert!(operation["summary"].as_str().is_some_and(|summary| !summary.is_empty()), "{at}: a summary");
        let answers = operation["responses"].as_object().unwrap();
        let mut wanted: Vec<&str> = OF_ALL.to_vec();
        if operation.get("security").is_some() {
            wanted.extend(["401", "403"]);
        }
        if operation.get("requestBody").is_some() {
            wanted.extend(["400", "413", "415", "422"]);
        }
        if operation.get("parameters").is_some() {
            wanted.push("422");
        }
        for status in wanted {
            let content = &answers.get(status).unwrap_or_else(|| panic!("{at} does not document {status}"))["content"];
            assert!(content.get("application/problem+json").is_some(), "{at} {status}: {content}");
        }
        assert!(answers.keys().any(|status| status.starts_with('2')), "{at}: what it answers");
    }
    for (name, schema) in document["components"]["schemas"].as_object().unwrap() {
        let is_described = schema.get("description").is_some() || schema.get("enum").is_some();
        assert!(is_described, "{name} has no description: {schema}");
    }
    for example in
        ["PlaceOrder", "AmendOrder", "Transfer", "OrderTaken", "CommandTaken", "Order", "Fill", "Balance", "Problem"]
    {
        assert!(document["components"]["schemas"][example].get("example").is_some(), "{example} has no example");
    }
}
