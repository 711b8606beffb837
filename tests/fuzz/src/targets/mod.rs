//! What is fuzzed: one function for each target. To add one, write its function and list it in [`all`].

mod files;
mod letters;
mod wire;

use anyhow::Result;

/// A target at work: takes an input and says what it made of it, in a few words.
pub type Start = Box<dyn FnMut(&[u8]) -> String>;

/// Something that reads bytes from outside.
pub struct Target {
    /// Its name, its folder in the corpus too.
    pub name: &'static str,
    /// Whether its inputs are text.
    pub is_text: bool,
    /// Its share of the inputs.
    pub weight: u64,
    /// Inputs to begin with, beside the files of the corpus.
    pub seeds: fn() -> Result<Vec<Vec<u8>>>,
    /// Makes it ready.
    pub start: fn() -> Result<Start>,
}

/// All targets.
pub fn all() -> Vec<Target> {
    let mut all = wire::targets();
    all.push(letters::target());
    all.extend(files::targets());
    all
}

/// The beginning of an error's text, numbers and quoted parts taken out, as the kind of an outcome.
fn kind_of(error: &str) -> String {
    let mut kind = String::new();
    let mut quoted = false;
    for letter in error.chars() {
        match letter {
            '`' | '"' | '\'' => quoted = !quoted,
            _ if quoted || letter.is_ascii_digit() || !letter.is_ascii() => {}
            _ => kind.push(letter),
        }
        if kind.len() == 60 {
            break;
        }
    }
    kind
}
