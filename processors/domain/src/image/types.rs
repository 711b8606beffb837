//! The domain's shared vocabulary as fields of a block.

use super::{field_enum, field_struct};
use crate::command::RejectReason;
use crate::execution::{Level, OrderStatus};
use crate::types::{
    Account, AccountStatus, Instrument, InstrumentStatus, OrderType, SelfTradePrevention, Side, TimeInForce,
};

field_enum! {
    Side { Buy = 0, Sell = 1 }
    OrderType { Limit = 0, Market = 1, Stop = 2, StopLimit = 3 }
    TimeInForce { Gtc = 0, Day = 1, Gtd = 2, Ioc = 3, Fok = 4 }
    SelfTradePrevention { CancelNewest = 0, CancelOldest = 1, CancelBoth = 2, DecrementAndCancel = 3 }
    InstrumentStatus { Open = 0, Halted = 1, Closed = 2 }
    AccountStatus { Active = 0, Suspended = 1, Closed = 2 }
    OrderStatus { Open = 0, PartlyFilled = 1, Waiting = 2, Filled = 3, Cancelled = 4, Expired = 5 }
    RejectReason {
        WrongPartition = 0,
        Malformed = 1,
        DuplicateClientOrderId = 2,
        UnknownInstrument = 3,
        InstrumentNotOpen = 4,
        UnknownAccount = 5,
        AccountNotActive = 6,
        UnknownOrder = 7,
        InvalidSide = 8,
        InvalidOrderType = 9,
        InvalidTimeInForce = 10,
        InvalidTerms = 11,
        InvalidPrice = 12,
        InvalidTick = 13,
        InvalidQuantity = 14,
        InvalidLot = 15,
        QuantityTooSmall = 16,
        QuantityTooLarge = 17,
        NotionalTooSmall = 18,
        NotionalTooLarge = 19,
        OutsideCollar = 20,
        TooManyOpenOrders = 21,
        InsufficientFunds = 22,
        InvalidAmount = 23,
    }
}

field_struct! {
    Level { price, quantity }
    Account { id, status, max_open_orders }
    Instrument {
        symbol,
        base_asset,
        quote_asset,
        tick_size,
        lot_size,
        min_quantity,
        max_quantity,
        min_notional,
        max_notional,
        reference_price,
        collar_ppm,
        maker_fee_ppm,
        taker_fee_ppm,
        status,
        session_close_ms,
    }
}
