CREATE VIEW public.balance_totals AS
SELECT account, asset, available, reserved, available + reserved AS total
FROM public.balances
WHERE account NOT LIKE '@%';

COMMENT ON VIEW public.balance_totals IS 'Balances of traders (no system accounts) with their total.';
COMMENT ON COLUMN public.balance_totals.account IS 'Account.';
COMMENT ON COLUMN public.balance_totals.asset IS 'Asset.';
COMMENT ON COLUMN public.balance_totals.available IS 'Free to use, in the asset.';
COMMENT ON COLUMN public.balance_totals.reserved IS 'Held for open orders and withdrawals, in the asset.';
COMMENT ON COLUMN public.balance_totals.total IS 'Available plus reserved, in the asset.';
