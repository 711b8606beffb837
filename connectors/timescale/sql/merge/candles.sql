-- Commutative and associative, whatever the order of trades: as Candle::merge in src/candle.rs.
INSERT INTO public.candles AS c (
    venue, instrument, "interval", bucket, open, high, low, close, volume, trades, first_at, first_seq, last_at, last_seq
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::numeric[], $6::numeric[], $7::numeric[], $8::numeric[],
    $9::numeric[], $10::bigint[], $11::timestamptz[], $12::bigint[], $13::timestamptz[], $14::bigint[]
) AS new (
    venue, instrument, "interval", bucket, open, high, low, close, volume, trades, first_at, first_seq, last_at, last_seq
)
ORDER BY venue, instrument, "interval", bucket
ON CONFLICT (venue, instrument, "interval", bucket) DO UPDATE SET
    open = CASE
        WHEN (excluded.first_at, excluded.first_seq, excluded.open) < (c.first_at, c.first_seq, c.open)
        THEN excluded.open ELSE c.open
    END,
    first_seq = CASE
        WHEN (excluded.first_at, excluded.first_seq) < (c.first_at, c.first_seq)
        THEN excluded.first_seq ELSE c.first_seq
    END,
    first_at = least(c.first_at, excluded.first_at),
    close = CASE
        WHEN (excluded.last_at, excluded.last_seq, excluded.close) > (c.last_at, c.last_seq, c.close)
        THEN excluded.close ELSE c.close
    END,
    last_seq = CASE
        WHEN (excluded.last_at, excluded.last_seq) > (c.last_at, c.last_seq)
        THEN excluded.last_seq ELSE c.last_seq
    END,
    last_at = greatest(c.last_at, excluded.last_at),
    high = greatest(c.high, excluded.high),
    low = least(c.low, excluded.low),
    volume = c.volume + excluded.volume,
    trades = c.trades + excluded.trades
