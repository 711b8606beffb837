-- Every trade of the own books. A plain INSERT (COPY): exactly once by the transaction, and the key would show it if not.
CREATE TABLE public.trades (
    trade_id           bigint         NOT NULL,
    traded_at          timestamptz    NOT NULL,
    instrument         text           NOT NULL,
    price              numeric(28, 8) NOT NULL,
    quantity           numeric(28, 8) NOT NULL,
    notional           numeric(28, 8) NOT NULL,
    taker_side         text           NOT NULL,
    taker_order_id     bigint         NOT NULL,
    taker_account      text           NOT NULL,
    taker_fee          numeric(28, 8) NOT NULL,
    maker_order_id     bigint         NOT NULL,
    maker_account      text           NOT NULL,
    maker_fee          numeric(28, 8) NOT NULL,
    position_partition int            NOT NULL,
    position_offset    bigint         NOT NULL,
    -- A hypertable's key must hold its time column.
    PRIMARY KEY (trade_id, traded_at)
);

SELECT create_hypertable('public.trades', by_range('traded_at', INTERVAL '1 day'), create_default_indexes => false);

CREATE INDEX trades_instrument_traded_at ON public.trades (instrument, traded_at DESC);
-- An account's fills, newest first: the gateway reads them a page at a time.
CREATE INDEX trades_taker ON public.trades (taker_account, traded_at, trade_id);
CREATE INDEX trades_maker ON public.trades (maker_account, traded_at, trade_id);

COMMENT ON TABLE public.trades IS 'Every trade of Tapeline''s own books, from trades.executed (TRADED). Hypertable by traded_at.';
COMMENT ON COLUMN public.trades.trade_id IS 'Identity of the trade: the executor''s partition times 2^44 plus its trade sequence.';
COMMENT ON COLUMN public.trades.traded_at IS 'Time of the trade: broker''s append time of the validated command that caused it (validated_at_ms), milliseconds.';
COMMENT ON COLUMN public.trades.instrument IS 'The book, for example AAPL-USD.';
COMMENT ON COLUMN public.trades.price IS 'Price, the maker''s: quote asset for one unit of the base asset.';
COMMENT ON COLUMN public.trades.quantity IS 'Quantity, in the base asset.';
COMMENT ON COLUMN public.trades.notional IS 'Price times quantity rounded down to 10^-8, in the quote asset.';
COMMENT ON COLUMN public.trades.taker_side IS 'Side of the incoming order: buy or sell.';
COMMENT ON COLUMN public.trades.taker_order_id IS 'The incoming order.';
COMMENT ON COLUMN public.trades.taker_account IS 'Account of the incoming order.';
COMMENT ON COLUMN public.trades.taker_fee IS 'Fee of the incoming order for this trade, in the quote asset.';
COMMENT ON COLUMN public.trades.maker_order_id IS 'The resting order.';
COMMENT ON COLUMN public.trades.maker_account IS 'Account of the resting order.';
COMMENT ON COLUMN public.trades.maker_fee IS 'Fee of the resting order for this trade, in the quote asset.';
COMMENT ON COLUMN public.trades.position_partition IS 'Partition of the trade''s record in trades.executed.';
COMMENT ON COLUMN public.trades.position_offset IS 'Offset of the trade''s record in that partition.';
