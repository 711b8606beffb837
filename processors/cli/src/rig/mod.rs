//! What `chaos` and `bench` run on: a stack of real parts of their own, and what they note and look at meanwhile.

mod events;
mod memory;
mod site;

pub(crate) use events::Events;
pub(crate) use memory::{Curve, MemoryWatch, peak, resident_mib};
pub(crate) use site::{BROKERS, REGISTRY, Site, broker_index, servers};
