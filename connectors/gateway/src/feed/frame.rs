//! Messages as text. Each is written once, field by field, and shared by all clients that get it.
//!
//! The type of a frame is the WebSocket library's shared text, so that a frame goes to a socket without being copied or
//! looked through again; nothing else of that library is known here.

use super::book::Level;
use crate::amount;
use serde::Serialize;
use tapeline_domain::types::Units;

/// A message, ready for any number of clients.
pub type Frame = axum::extract::ws::Utf8Bytes;

/// A JSON object that is being written.
#[derive(Debug, Clone)]
pub struct Object {
    text: String,
}

impl Object {
    /// Begins a message of this type.
    pub fn message(kind: &str) -> Self {
        let mut object = Self { text: String::with_capacity(256) };
        object.text.push('{');
        object.text("type", kind)
    }

    /// Begins an object without a type.
    pub fn empty() -> Self {
        Self { text: "{".into() }
    }

    fn name(&mut self, name: &str) {
        if self.text.len() > 1 {
            self.text.push(',');
        }
        self.text.push('"');
        self.text.push_str(name);
        self.text.push_str("\":");
    }

    /// Adds a text.
    #[must_use]
    pub fn text(mut self, name: &str, value: &str) -> Self {
        self.name(name);
        quote(value, &mut self.text);
        self
    }

    /// Adds a text, if there is one.
    #[must_use]
    pub fn maybe_text(self, name: &str, value: Option<&str>) -> Self {
        match value {
            Some(value) => self.text(name, value),
            None => self,
        }
    }

    /// Adds a number.
    #[must_use]
    pub fn number(mut self, name: &str, value: i64) -> Self {
        self.name(name);
        self.text.push_str(&value.to_string());
        self
    }

    /// Adds an id: a number that may be larger than JSON's readers can hold, as text.
    #[must_use]
    pub fn id(mut self, name: &str, value: i64) -> Self {
        self.name(name);
        self.text.push('"');
        self.text.push_str(&value.to_string());
        self.text.push('"');
        self
    }

    /// Adds an id, if there is one.
    #[must_use]
    pub fn maybe_id(self, name: &str, value: Option<i64>) -> Self {
        match value {
            Some(value) => self.id(name, value),
            None => self,
        }
    }

    /// Adds an amount.
    #[must_use]
    pub fn amount(mut self, name: &str, value: Units) -> Self {
        self.name(name);
        push_amount(value, &mut self.text);
        self
    }

    /// Adds an amount, if there is one.
    #[must_use]
    pub fn maybe_amount(self, name: &str, value: Option<Units>) -> Self {
        match value {
            Some(value) => self.amount(name, value),
            None => self,
        }
    }

    /// Adds a sum of amounts; one that does not fit 64 bits is written as the largest that does.
    #[must_use]
    pub fn sum(self, name: &str, value: i128) -> Self {
        self.amount(name, value.clamp(i128::from(Units::MIN), i128::from(Units::MAX)) as Units)
    }

    /// Adds levels of a book as pairs of price and quantity.
    #[must_use]
    pub fn levels(mut self, name: &str, levels: impl Iterator<Item = Level>) -> Self {
        self.name(name);
        self.text.push('[');
        for (index, level) in levels.enumerate() {
            self.text.push_str(if index > 0 { ",[" } else { "[" });
            push_amount(level.price, &mut self.text);
            self.text.push(',');
            push_amount(level.quantity, &mut self.text);
            self.text.push(']');
        }
        self.text.push(']');
        self
    }

    /// Adds what is JSON already.
    #[must_use]
    pub fn raw(mut self, name: &str, json: &str) -> Self {
        self.name(name);
        self.text.push_str(json);
        self
    }

    /// Adds any value.
    #[must_use]
    pub fn value(self, name: &str, value: &impl Serialize) -> Self {
        // What is given here are problems and JSON values, whose keys are texts: they can always be written.
        let json = serde_json::to_string(value).unwrap_or_else(|_| "null".into());
        self.raw(name, &json)
    }

    /// The finished text.
    pub fn json(mut self) -> String {
        self.text.push('}');
        self.text
    }

    /// The finished message.
    pub fn frame(self) -> Frame {
        self.json().into()
    }

    /// The fields without braces, to be put into another object.
    pub fn fields(self) -> String {
        self.text.trim_start_matches('{').to_owned()
    }
}

fn push_amount(value: Units, text: &mut String) {
    text.push('"');
    amount::write(value, text);
    text.push('"');
}

fn quote(value: &str, text: &mut String) {
    let plain = value.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    match plain {
        true => {
            text.push('"');
            text.push_str(value);
            text.push('"');
        }
        // A text can always be written as JSON.
        false => text.push_str(&serde_json::to_string(value).unwrap_or_else(|_| "\"\"".into())),
    }
}

/// An enum's symbol as the interface writes it: lower case.
pub fn symbol(symbol: &str) -> String {
    symbol.to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_the_json_that_its_fields_say() {
        let levels = [Level { price: 150_000_000, quantity: 1 }, Level { price: 100_000_000, quantity: 0 }];
        let json = Object::message("depth")
            .text("instrument", "A\"\\\n-é")
            .number("sequence", -7)
            .id("trade_id", i64::MAX)
            .maybe_id("order_id", None)
            .levels("bids", levels.into_iter())
            .levels("asks", std::iter::empty())
            .sum("volume", i128::MAX)
            .maybe_amount("last", Some(-50_000_000))
            .json();
        let read: serde_json::Value = serde_json::from_str(&json).unwrap();
        let expected = serde_json::json!({
            "type": "depth", "instrument": "A\"\\\n-é", "sequence": -7, "trade_id": "9223372036854775807",
            "bids": [["1.5", "0.00000001"], ["1", "0"]], "asks": [], "volume": "92233720368.54775807", "last": "-0.5",
        });
        assert_eq!(read, expected);
    }
}
