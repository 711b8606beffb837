-- The newest offset wins.
INSERT INTO public.best_quotes AS q (
    venue, instrument, bid_price, bid_quantity, ask_price, ask_quantity, quoted_at, position_partition, position_offset
)
SELECT * FROM unnest(
    $1::text[], $2::text[], $3::numeric[], $4::numeric[], $5::numeric[], $6::numeric[], $7::timestamptz[], $8::int[],
    $9::bigint[]
) AS new (
    venue, instrument, bid_price, bid_quantity, ask_price, ask_quantity, quoted_at, position_partition, position_offset
)
ORDER BY venue, instrument
ON CONFLICT (venue, instrument) DO UPDATE SET
    bid_price = excluded.bid_price,
    bid_quantity = excluded.bid_quantity,
    ask_price = excluded.ask_price,
    ask_quantity = excluded.ask_quantity,
    quoted_at = excluded.quoted_at,
    position_partition = excluded.position_partition,
    position_offset = excluded.position_offset
WHERE excluded.position_offset > q.position_offset
