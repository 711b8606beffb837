-- Only ever added. A trade that is there already would be an error, not a merge.
INSERT INTO public.trades (
    trade_id, traded_at, instrument, price, quantity, notional, taker_side, taker_order_id, taker_account, taker_fee,
    maker_order_id, maker_account, maker_fee, position_partition, position_offset
)
SELECT * FROM unnest(
    $1::bigint[], $2::timestamptz[], $3::text[], $4::numeric[], $5::numeric[], $6::numeric[], $7::text[], $8::bigint[],
    $9::text[], $10::numeric[], $11::bigint[], $12::text[], $13::numeric[], $14::int[], $15::bigint[]
)
