//! `docs/clickhouse.md`: each of its queries is run on the small flow and must give the answer that stands under it, and it
//! must list every column.

use crate::database::Database;
use crate::fixture::small;
use tapeline_runtime::sink::Sink;

const DOCUMENT: &str = include_str!("../../../../docs/clickhouse.md");

/// Each ```sql block with the ```text block that follows it.
fn queries() -> Vec<(String, String)> {
    let block = |text: &str, kind: &str| -> Option<(String, usize)> {
        let start = text.find(&format!("```{kind}\n"))? + kind.len() + 4;
        let end = start + text[start..].find("```")?;
        Some((text[start..end].trim().to_owned(), end + 3))
    };
    let mut found = Vec::new();
    let mut rest = DOCUMENT;
    while let Some((sql, after)) = block(rest, "sql") {
        rest = &rest[after..];
        let until_next = rest.find("```sql\n").unwrap_or(rest.len());
        let (answer, _) = block(&rest[..until_next], "text").unwrap_or_else(|| panic!("no answer stands under {sql}"));
        found.push((sql, answer));
    }
    found
}

/// Columns padded to a common width, two spaces between them.
fn aligned(answer: &str) -> String {
    let rows: Vec<Vec<&str>> = answer.lines().map(|line| line.split('\t').collect()).collect();
    let width = |column: usize| rows.iter().map(|row| row[column].len()).max().unwrap_or(0);
    let line = |row: &Vec<&str>| {
        let cells = row.iter().enumerate().map(|(at, cell)| format!("{cell:<width$}", width = width(at)));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect::<Vec<_>>().join("\n")
}

#[test]
fn every_documented_query_gives_its_documented_answer() {
    let Some(database) = Database::new("documented") else { return };
    let mut sink = database.sink();
    small().batches(10).iter().for_each(|batch| sink.write(batch).unwrap());
    let queries = queries();
    assert_eq!(queries.len(), 11, "ten queries and the offsets");
    let mut wrong = String::new();
    for (sql, expected) in queries {
        let answer = aligned(&database.ask(&sql));
        if answer != expected {
            wrong.push_str(&format!("{sql}\n-- gives\n{answer}\n-- not\n{expected}\n\n"));
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

#[test]
fn every_column_is_documented() {
    let Some(database) = Database::new("columns") else { return };
    let columns = database.ask(
        "SELECT table, concat('| `', name, '` | `', type, '` | ', comment, ' |') AS line FROM system.columns \
         WHERE database = currentDatabase() AND comment != '' ORDER BY ALL FORMAT TSVRaw",
    );
    for line in columns.lines() {
        let (table, line) = line.split_once('\t').unwrap();
        assert!(DOCUMENT.contains(&format!("\n{line}\n")), "docs/clickhouse.md lacks a line of {table}: {line}");
    }
    assert!(columns.lines().count() > 150);
}
