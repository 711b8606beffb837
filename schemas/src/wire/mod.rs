//! Rust types of the shape of each topic's Avro schema: flat, every field as on the wire.
//!
//! The domain has its own types; [`crate::Unfit`] is what a conversion says when a record can't be one of them.

mod audit;
mod command;
mod depth;
mod execution;
mod identity;
mod journal;
mod market;
mod reference;
mod settlement;
mod snapshot;

pub use audit::*;
pub use command::*;
pub use depth::*;
pub use execution::*;
pub use identity::*;
pub use journal::*;
pub use market::*;
pub use reference::*;
pub use settlement::*;
pub use snapshot::*;

/// An Avro record; its fields stand in the schema's order.
macro_rules! wire_record {
    ($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $of:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
        pub struct $name {
            $($(#[$field_doc])* pub $field: $of,)*
        }

        impl crate::body::Body for $name {
            fn write(&self, buffer: &mut Vec<u8>) {
                $(crate::body::Body::write(&self.$field, buffer);)*
            }

            fn read(body: &mut &[u8]) -> Result<Self, crate::body::Misfit> {
                Ok(Self {
                    $($field: crate::body::Body::read(body).map_err(|misfit| misfit.within(stringify!($field)))?,)*
                })
            }
        }
    };
}
pub(crate) use wire_record;

/// An Avro enum with `UNKNOWN` as its default symbol, and the name of each symbol.
macro_rules! wire_enum {
    ($(#[$doc:meta])* $name:ident { $($variant:ident = $symbol:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, serde::Serialize, serde::Deserialize)]
        #[allow(missing_docs, reason = "the symbols are documented in the schema")]
        pub enum $name {
            #[serde(rename = "UNKNOWN")]
            Unknown,
            $(#[serde(rename = $symbol)] $variant,)*
        }

        impl $name {
            /// All symbols in the order of the schema: Avro writes an enum as its place in this list.
            pub const ALL: &'static [Self] = &[Self::Unknown, $(Self::$variant,)*];

            /// The symbol as it stands in the schema.
            pub const fn symbol(self) -> &'static str {
                match self {
                    Self::Unknown => "UNKNOWN",
                    $(Self::$variant => $symbol,)*
                }
            }
        }

        impl crate::body::Body for $name {
            fn write(&self, buffer: &mut Vec<u8>) {
                (*self as i64).write(buffer);
            }

            fn read(body: &mut &[u8]) -> Result<Self, crate::body::Misfit> {
                crate::body::read_symbol(body, Self::ALL)
            }
        }
    };
}
pub(crate) use wire_enum;
