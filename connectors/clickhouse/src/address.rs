//! Where the database is: takes an URL apart. Opens no connection.

use tapeline_runtime::sink::SinkError;
use url::Url;

/// Database used where the URL names none.
const DEFAULT_DATABASE: &str = "tapeline";

/// An address, taken from `http[s]://[user:password@]host:port/[?database=NAME]`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Address {
    /// Base URL without user, password and parameters: may be shown.
    pub(crate) url: String,
    /// User, if the URL names one.
    pub(crate) user: Option<String>,
    /// Password, if the URL has one: never shown.
    pub(crate) password: Option<String>,
    /// Database: letters, digits and `_`, so that it needs no quotes.
    pub(crate) database: String,
}

impl Address {
    /// Takes `text` apart.
    ///
    /// # Errors
    /// [`SinkError::Fatal`] if it is no such URL; the text is not repeated, it may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, SinkError> {
        let fatal = |why: String| {
            SinkError::Fatal(format!(
                "the ClickHouse address {why}: set TAPELINE_CLICKHOUSE_URL to http://[user:password@]host:8123/?database=NAME"
            ))
        };
        let mut url = Url::parse(text).map_err(|error| fatal(format!("is no URL ({error})")))?;
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none() {
            return Err(fatal("does not begin with http://host or https://host".into()));
        }
        let user = Some(unescaped(url.username())).filter(|user| !user.is_empty());
        let password = url.password().map(unescaped);
        let mut database = DEFAULT_DATABASE.to_owned();
        for (name, value) in url.query_pairs() {
            match &*name {
                "database" => database = value.into_owned(),
                other => return Err(fatal(format!("has the parameter `{other}`, only `database` is known"))),
            }
        }
        let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
        if database.is_empty() || !database.chars().all(plain) || database.starts_with(|c: char| c.is_ascii_digit()) {
            return Err(fatal(format!("names the database `{database}`, not a plain name of letters, digits and `_`")));
        }
        url.set_query(None);
        url.set_fragment(None);
        // Neither can fail: the URL has a host.
        let _ = url.set_username("");
        let _ = url.set_password(None);
        Ok(Self { url: url.into(), user, password, database })
    }
}

/// Undoes percent escapes, which are a form's but for `+`.
fn unescaped(text: &str) -> String {
    let form = text.replace('+', "%2B");
    url::form_urlencoded::parse(form.as_bytes()).next().map_or_else(String::new, |(name, _)| name.into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_password_and_database_are_taken_out() -> Result<(), SinkError> {
        let address = Address::parse("https://ann:p%40ss+w%26rd@db.example:8443/?database=view_2")?;
        assert_eq!(address.url, "https://db.example:8443/");
        assert_eq!(address.user.as_deref(), Some("ann"));
        assert_eq!(address.password.as_deref(), Some("p@ss+w&rd"));
        assert_eq!(address.database, "view_2");
        let plain = Address::parse("http://127.0.0.1:18123")?;
        assert_eq!((plain.database.as_str(), plain.user, plain.password), ("tapeline", None, None));
        Ok(())
    }

    #[test]
    fn a_bad_address_is_refused_without_its_password() {
        for text in
            ["", "db:9000", "ftp://ann:secret@db", "http://ann:secret@db/?user=x", "http://ann:secret@db/?database=a-b"]
        {
            match Address::parse(text) {
                Err(SinkError::Fatal(why)) => {
                    assert!(why.contains("TAPELINE_CLICKHOUSE_URL") && !why.contains("secret"), "{why}");
                }
                _ => panic!("`{text}` was taken"),
            }
        }
    }
}
