-- The staged rows are changes; exactly once because the offsets move in the same transaction.
INSERT INTO public.balances AS b (account, asset, available, reserved)
SELECT account, asset, available, reserved
FROM pg_temp.stage_balances
ORDER BY account, asset
ON CONFLICT (account, asset) DO UPDATE SET
    available = b.available + excluded.available,
    reserved = b.reserved + excluded.reserved
