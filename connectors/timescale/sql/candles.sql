-- Candles of own trades and of outside venues, kept by upserts: continuous aggregates are not in the Apache edition.
CREATE TABLE public.candles (
    venue      text           NOT NULL,
    instrument text           NOT NULL,
    "interval" text           NOT NULL CHECK ("interval" IN ('1s', '1m', '5m', '1h', '1d')),
    bucket     timestamptz    NOT NULL,
    open       numeric(28, 8) NOT NULL,
    high       numeric(28, 8) NOT NULL,
    low        numeric(28, 8) NOT NULL,
    close      numeric(28, 8) NOT NULL,
    volume     numeric(28, 8) NOT NULL,
    trades     bigint         NOT NULL,
    first_at   timestamptz    NOT NULL,
    first_seq  bigint         NOT NULL,
    last_at    timestamptz    NOT NULL,
    last_seq   bigint         NOT NULL,
    PRIMARY KEY (venue, instrument, "interval", bucket)
);

SELECT create_hypertable('public.candles', by_range('bucket', INTERVAL '7 days'), create_default_indexes => false);

COMMENT ON TABLE public.candles IS 'Candles of own trades (trades.executed) and of outside venues'' trades (market.ticks). An interval without a trade has no row. Hypertable by bucket.';
COMMENT ON COLUMN public.candles.venue IS 'tapeline for own trades, else the venue''s name, for example binance.';
COMMENT ON COLUMN public.candles.instrument IS 'Instrument, as the venue calls it.';
COMMENT ON COLUMN public.candles."interval" IS 'Length: 1s, 1m, 5m, 1h or 1d (UTC days).';
COMMENT ON COLUMN public.candles.bucket IS 'Begin of the interval; it ends before the next one begins.';
COMMENT ON COLUMN public.candles.open IS 'Price of the first trade, in the quote asset.';
COMMENT ON COLUMN public.candles.high IS 'Highest price, in the quote asset.';
COMMENT ON COLUMN public.candles.low IS 'Lowest price, in the quote asset.';
COMMENT ON COLUMN public.candles.close IS 'Price of the last trade, in the quote asset.';
COMMENT ON COLUMN public.candles.volume IS 'Sum of the quantities, in the base asset.';
COMMENT ON COLUMN public.candles.trades IS 'Number of trades.';
COMMENT ON COLUMN public.candles.first_at IS 'Time of the trade that open comes from, microseconds.';
COMMENT ON COLUMN public.candles.first_seq IS 'Trade id of the trade that open comes from; decides between trades of the same time.';
COMMENT ON COLUMN public.candles.last_at IS 'Time of the trade that close comes from, microseconds.';
COMMENT ON COLUMN public.candles.last_seq IS 'Trade id of the trade that close comes from; decides between trades of the same time.';
