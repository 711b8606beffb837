-- The newest offset wins. Offsets of the two topics can't be compared: what the book did beats a rejection.
INSERT INTO public.orders AS o (
    order_id, account, client_order_id, instrument, side, order_type, time_in_force, price, stop_price, quantity,
    filled, leaves, status, reason, updated_at, position_partition, position_offset
)
SELECT * FROM unnest(
    $1::bigint[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[], $8::numeric[], $9::numeric[],
    $10::numeric[], $11::numeric[], $12::numeric[], $13::text[], $14::text[], $15::timestamptz[], $16::int[],
    $17::bigint[]
) AS new (
    order_id, account, client_order_id, instrument, side, order_type, time_in_force, price, stop_price, quantity,
    filled, leaves, status, reason, updated_at, position_partition, position_offset
)
ORDER BY order_id
ON CONFLICT (order_id) DO UPDATE SET
    account = excluded.account,
    client_order_id = excluded.client_order_id,
    instrument = excluded.instrument,
    side = excluded.side,
    order_type = excluded.order_type,
    time_in_force = excluded.time_in_force,
    price = excluded.price,
    stop_price = excluded.stop_price,
    quantity = excluded.quantity,
    filled = excluded.filled,
    leaves = excluded.leaves,
    status = excluded.status,
    reason = excluded.reason,
    updated_at = excluded.updated_at,
    position_partition = excluded.position_partition,
    position_offset = excluded.position_offset
WHERE (excluded.status <> 'rejected', excluded.position_offset) > (o.status <> 'rejected', o.position_offset)
