//! Commands, accepted and refused: `orders`, `orders.validated`, `orders.rejected`.
//!
//! The shapes are those of `schemas/*.avsc`; the test `every_wire_type_fits_its_schema` holds them together.

use super::{wire_enum, wire_record};
use smol_str::SmolStr;

wire_record! {
    /// A command of an account. Record key: the account. All prices, quantities and amounts are integers in units of
    /// 10^-8. Publish with the murmur2 partitioner.
    Command {
        /// Account that commands; must equal the record's key. 1 to 64 bytes; names that begin with '@' are the system's.
        account: SmolStr,
        /// The client's own identity of this command, unique within the account for 24 hours: a repeated one has no
        /// second effect. 1 to 64 bytes.
        client_order_id: SmolStr,
        /// What to do.
        kind: CommandKind,
        /// PLACE, CANCEL_ALL: the instrument, for example AAPL-USD.
        instrument: Option<SmolStr>,
        /// PLACE: buy or sell.
        side: Option<Side>,
        /// PLACE: how the price is found.
        order_type: Option<OrderType>,
        /// PLACE: how long it lives. Absent: IOC for MARKET, else GTC.
        time_in_force: Option<TimeInForce>,
        /// PLACE: total quantity of the base asset. AMEND: new total quantity, what has been filled included. In units of
        /// 10^-8.
        quantity: Option<i64>,
        /// PLACE of LIMIT and STOP_LIMIT: limit price in the quote asset for one unit of the base asset. AMEND: new limit
        /// price. In units of 10^-8.
        price: Option<i64>,
        /// PLACE of STOP and STOP_LIMIT: last trade price that wakes the order. In units of 10^-8.
        stop_price: Option<i64>,
        /// PLACE of LIMIT: iceberg; at most this much shows. In units of 10^-8.
        display_quantity: Option<i64>,
        /// PLACE of LIMIT: cancel it rather than take liquidity on entry.
        post_only: bool,
        /// PLACE with GTD: when it ends, milliseconds since the Unix epoch.
        expires_at_ms: Option<i64>,
        /// PLACE: what to do on meeting an own order. Absent: CANCEL_NEWEST.
        self_trade_prevention: Option<SelfTradePrevention>,
        /// AMEND, CANCEL: client_order_id of the order that is meant.
        target_client_order_id: Option<SmolStr>,
        /// DEPOSIT, WITHDRAW: asset that moves, for example USD.
        asset: Option<SmolStr>,
        /// DEPOSIT, WITHDRAW: how much, above zero. In units of 10^-8.
        amount: Option<i64>,
    }
}

impl Command {
    /// A command that says nothing yet but who commands what.
    pub fn blank(account: SmolStr, client_order_id: SmolStr, kind: CommandKind) -> Self {
        Self {
            account,
            client_order_id,
            kind,
            instrument: None,
            side: None,
            order_type: None,
            time_in_force: None,
            quantity: None,
            price: None,
            stop_price: None,
            display_quantity: None,
            post_only: false,
            expires_at_ms: None,
            self_trade_prevention: None,
            target_client_order_id: None,
            asset: None,
            amount: None,
        }
    }
}

wire_record! {
    /// An accepted command; funds are reserved. Record key: the instrument, for DEPOSIT and WITHDRAW the account.
    /// Holds all that later stages need.
    ValidatedCommand {
        /// Identity of the command: partition of its record in `orders` times 2^44 plus its offset. For PLACE it is the
        /// order's identity too.
        command_id: i64,
        /// Account that commands.
        account: SmolStr,
        /// The client's own identity of the command.
        client_order_id: SmolStr,
        /// What to do.
        kind: CommandKind,
        /// Broker's append time of the command in `orders`, milliseconds since the Unix epoch.
        commanded_at_ms: i64,
        /// PLACE, AMEND, CANCEL, CANCEL_ALL: the instrument.
        instrument: Option<SmolStr>,
        /// AMEND, CANCEL: identity of the order that is meant.
        target_order_id: Option<i64>,
        /// PLACE: what is bought or sold.
        base_asset: Option<SmolStr>,
        /// PLACE: what it is paid with.
        quote_asset: Option<SmolStr>,
        /// PLACE: buy or sell.
        side: Option<Side>,
        /// PLACE: how the price is found.
        order_type: Option<OrderType>,
        /// PLACE: how long it lives.
        time_in_force: Option<TimeInForce>,
        /// PLACE: total quantity. AMEND: new total quantity. In units of 10^-8.
        quantity: Option<i64>,
        /// PLACE: worst price it may trade at: its limit, or the collar's edge for MARKET and STOP. AMEND: new limit. In
        /// units of 10^-8.
        price: Option<i64>,
        /// PLACE of STOP and STOP_LIMIT: last trade price that wakes it. In units of 10^-8.
        stop_price: Option<i64>,
        /// PLACE: iceberg; at most this much shows. In units of 10^-8.
        display_quantity: Option<i64>,
        /// PLACE: cancel it rather than take liquidity on entry.
        post_only: bool,
        /// PLACE with DAY or GTD: when it ends, milliseconds since the Unix epoch.
        expires_at_ms: Option<i64>,
        /// PLACE: what to do on meeting an own order.
        self_trade_prevention: Option<SelfTradePrevention>,
        /// PLACE: maker fee, fixed at acceptance, parts per million of the notional.
        maker_fee_ppm: i64,
        /// PLACE: taker fee, fixed at acceptance, parts per million of the notional.
        taker_fee_ppm: i64,
        /// Asset that was reserved with this command: base for a sale, quote for a purchase, the asset of a WITHDRAW.
        reserved_asset: Option<SmolStr>,
        /// Moved from available to reserved with this command: worst price plus taker fee for a PLACE, the extra for an
        /// AMEND, the amount of a WITHDRAW, else 0. In units of 10^-8.
        reserved_amount: i64,
        /// DEPOSIT, WITHDRAW: how much, above zero. In units of 10^-8.
        amount: Option<i64>,
        /// DEPOSIT, WITHDRAW: asset that moves.
        asset: Option<SmolStr>,
    }
}

wire_record! {
    /// A refused command with the reason. Record key: the account.
    Rejection {
        /// Identity of the command: partition of its record in `orders` times 2^44 plus its offset.
        command_id: i64,
        /// Account, the record's key (UTF-8).
        account: SmolStr,
        /// The client's own identity of the command.
        client_order_id: SmolStr,
        /// What it was to do.
        kind: CommandKind,
        /// Broker's append time of the command in `orders`, milliseconds since the Unix epoch.
        commanded_at_ms: i64,
        /// The instrument, where the command names one.
        instrument: Option<SmolStr>,
        /// Reason code.
        reason: RejectReason,
        /// The reason as a sentence for a person.
        text: SmolStr,
        /// DUPLICATE_CLIENT_ORDER_ID: the command that first used the client_order_id.
        original_command_id: Option<i64>,
        /// DUPLICATE_CLIENT_ORDER_ID: whether that first command was accepted.
        original_accepted: Option<bool>,
        /// DUPLICATE_CLIENT_ORDER_ID: why that first command was refused, if it was.
        original_reason: Option<RejectReason>,
    }
}

wire_enum! {
    /// What a command does. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    CommandKind {
        Place = "PLACE",
        Amend = "AMEND",
        Cancel = "CANCEL",
        CancelAll = "CANCEL_ALL",
        Deposit = "DEPOSIT",
        Withdraw = "WITHDRAW",
    }
}

wire_enum! {
    /// Buy or sell the base asset. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    Side {
        Buy = "BUY",
        Sell = "SELL",
    }
}

wire_enum! {
    /// How an order's price is found. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    OrderType {
        Limit = "LIMIT",
        Market = "MARKET",
        Stop = "STOP",
        StopLimit = "STOP_LIMIT",
    }
}

wire_enum! {
    /// How long an order lives: till cancelled, till the session's close, till a date, immediate or cancel, fill or
    /// kill. UNKNOWN is never written; a reader sees it for a symbol newer than its schema.
    TimeInForce {
        Gtc = "GTC",
        Day = "DAY",
        Gtd = "GTD",
        Ioc = "IOC",
        Fok = "FOK",
    }
}

wire_enum! {
    /// What happens when an order would trade with another one of the same account. UNKNOWN is never written; a
    /// reader sees it for a symbol newer than its schema.
    SelfTradePrevention {
        CancelNewest = "CANCEL_NEWEST",
        CancelOldest = "CANCEL_OLDEST",
        CancelBoth = "CANCEL_BOTH",
        DecrementAndCancel = "DECREMENT_AND_CANCEL",
    }
}

wire_enum! {
    /// The rung of the validation ladder that refused the command. UNKNOWN is never written; a reader sees it for a
    /// symbol newer than its schema.
    RejectReason {
        DuplicateClientOrderId = "DUPLICATE_CLIENT_ORDER_ID",
        WrongPartition = "WRONG_PARTITION",
        Malformed = "MALFORMED",
        UnknownInstrument = "UNKNOWN_INSTRUMENT",
        InstrumentNotOpen = "INSTRUMENT_NOT_OPEN",
        UnknownAccount = "UNKNOWN_ACCOUNT",
        AccountNotActive = "ACCOUNT_NOT_ACTIVE",
        UnknownOrder = "UNKNOWN_ORDER",
        InvalidSide = "INVALID_SIDE",
        InvalidOrderType = "INVALID_ORDER_TYPE",
        InvalidTimeInForce = "INVALID_TIME_IN_FORCE",
        InvalidTerms = "INVALID_TERMS",
        InvalidPrice = "INVALID_PRICE",
        InvalidTick = "INVALID_TICK",
        InvalidQuantity = "INVALID_QUANTITY",
        InvalidLot = "INVALID_LOT",
        QuantityTooSmall = "QUANTITY_TOO_SMALL",
        QuantityTooLarge = "QUANTITY_TOO_LARGE",
        NotionalTooSmall = "NOTIONAL_TOO_SMALL",
        NotionalTooLarge = "NOTIONAL_TOO_LARGE",
        OutsideCollar = "OUTSIDE_COLLAR",
        TooManyOpenOrders = "TOO_MANY_OPEN_ORDERS",
        InsufficientFunds = "INSUFFICIENT_FUNDS",
        InvalidAmount = "INVALID_AMOUNT",
    }
}
