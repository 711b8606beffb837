//! Fields of requests: texts that are checked while they are read, so that a problem names the field.
//!
//! Only what needs no state is judged here: the form of names and amounts. Ticks, lots, limits, funds and what fits which
//! order type are the validator's.

use crate::amount;
use crate::problem::Problem;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use smol_str::SmolStr;
use std::borrow::Cow;
use tapeline_domain::types::Units;
use tapeline_schemas::wire;
use utoipa::ToSchema;

/// Longest name of an account, asset, instrument or command (docs/publishing.md).
const MAX_NAME_BYTES: usize = 64;

/// A decimal number as a text, for example "101.25": at most 8 decimal places, no exponent, no sign.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "101.25", pattern = r"^[0-9]+(\.[0-9]+)?$")]
pub struct Amount(pub Units);

impl<'de> Deserialize<'de> for Amount {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer, "a decimal number as a text, such as \"101.25\"")?;
        amount::parse(&text).map(Self).map_err(|why| de::Error::custom(format_args!("`{text}` {why}")))
    }
}

impl Serialize for Amount {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&amount::text(self.0))
    }
}

/// A name: 1 to 64 bytes without control characters.
#[derive(Debug, Clone, PartialEq, Eq, ToSchema)]
#[schema(value_type = String, example = "my-order-1", pattern = r"^[^\x00-\x1f]{1,64}$")]
pub struct Name(pub SmolStr);

impl Name {
    /// Checks a text.
    ///
    /// # Errors
    /// A sentence, if it is no name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let fits = (1..=MAX_NAME_BYTES).contains(&text.len()) && !text.chars().any(char::is_control);
        if fits { Ok(Self(text.into())) } else { Err("must have 1 to 64 bytes and no control characters") }
    }

    /// Checks a text that is the field `field` of a request, or stands for it in its path.
    ///
    /// # Errors
    /// 422 with the field.
    pub fn of_field(field: &'static str, text: &str) -> Result<Self, Problem> {
        Self::parse(text).map_err(|why| Problem::invalid(field, why))
    }
}

impl<'de> Deserialize<'de> for Name {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = text(deserializer, "a text")?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

/// A text, or the word that another type was expected to be one.
fn text<'de, D: Deserializer<'de>>(deserializer: D, expected: &'static str) -> Result<Cow<'de, str>, D::Error> {
    struct Text(&'static str);

    impl<'de> de::Visitor<'de> for Text {
        type Value = Cow<'de, str>;

        fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            formatter.write_str(self.0)
        }

        fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
            Ok(Cow::Owned(text.to_owned()))
        }

        fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Self::Value, E> {
            Ok(Cow::Borrowed(text))
        }
    }

    deserializer.deserialize_str(Text(expected))
}

/// An enum of the interface with the symbols of one of the topics.
macro_rules! symbols {
    ($(#[$doc:meta])* $name:ident { $($(#[$variant_doc:meta])* $variant:ident,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
        #[serde(rename_all = "snake_case")]
        pub enum $name {
            $($(#[$variant_doc])* $variant,)*
        }

        impl From<$name> for wire::$name {
            fn from(symbol: $name) -> Self {
                match symbol {
                    $($name::$variant => Self::$variant,)*
                }
            }
        }
    };
}

symbols! {
    /// Buy or sell the base asset.
    Side {
        /// Buy.
        Buy,
        /// Sell.
        Sell,
    }
}

symbols! {
    /// How an order's price is found.
    OrderType {
        /// At its price or better; the rest rests.
        Limit,
        /// At once, up to the edge of the price collar.
        Market,
        /// A market order once a trade reaches `stop_price`.
        Stop,
        /// A limit order once a trade reaches `stop_price`.
        StopLimit,
    }
}

symbols! {
    /// How long an order lives.
    TimeInForce {
        /// Until it is filled or cancelled.
        Gtc,
        /// Until the instrument's next session close.
        Day,
        /// Until `expires_at_ms`.
        Gtd,
        /// What can't trade at once is cancelled.
        Ioc,
        /// In full at once, or not at all.
        Fok,
    }
}

symbols! {
    /// What happens when an order meets one of its own account.
    SelfTradePrevention {
        /// What is left of the incoming order is cancelled.
        CancelNewest,
        /// The resting order is cancelled.
        CancelOldest,
        /// Both are cancelled.
        CancelBoth,
        /// Both lose the smaller quantity.
        DecrementAndCancel,
    }
}
