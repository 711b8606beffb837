//! What all requests share.

use crate::audit::Audit;
use crate::auth::Authenticator;
use crate::config::Settings;
use crate::feed::hub::Hub;
use crate::identity::Identity;
use crate::limits::Limits;
use crate::metrics::GatewayMetrics;
use crate::orders::log::CommandLog;
use crate::pipeline::Watch;
use crate::position::watch::Positions;
use crate::reads::analytics::Analytics;
use crate::reads::views::Views;
use std::sync::Arc;

/// A gateway: the state of its router.
pub struct Gateway {
    /// What it was told at its start.
    pub settings: Settings,
    /// Knows tokens and keys.
    pub authenticator: Arc<dyn Authenticator>,
    /// Users, sessions, passkeys and API keys.
    pub identity: Arc<Identity>,
    /// Takes commands.
    pub commands: Arc<dyn CommandLog>,
    /// Waits until views include a command.
    pub positions: Positions,
    /// TimescaleDB.
    pub views: Views,
    /// ClickHouse.
    pub analytics: Analytics,
    /// What is live: instruments, books, trades, candles, accounts.
    pub hub: Arc<Hub>,
    /// How the pipeline is.
    pub pipeline: Watch,
    /// How often who may ask.
    pub limits: Limits,
    /// What was done and refused.
    pub audit: Audit,
    /// Counts.
    pub metrics: GatewayMetrics,
}
