-- The new rows are changes; exactly once because the offsets move in the same transaction.
INSERT INTO public.balances AS b (account, asset, available, reserved)
SELECT * FROM unnest($1::text[], $2::text[], $3::numeric[], $4::numeric[])
    AS new (account, asset, available, reserved)
ORDER BY account, asset
ON CONFLICT (account, asset) DO UPDATE SET
    available = b.available + excluded.available,
    reserved = b.reserved + excluded.reserved
