-- Invariant "conservation": imbalance is zero for each asset, at all times.
CREATE VIEW public.asset_totals AS
SELECT asset,
       coalesce(sum(available + reserved) FILTER (WHERE account NOT LIKE '@%'), 0) AS held,
       coalesce(sum(available + reserved) FILTER (WHERE account = '@fees'), 0)     AS fees,
       coalesce(sum(available + reserved) FILTER (WHERE account = '@clearing'), 0) AS clearing,
       coalesce(sum(available + reserved) FILTER (WHERE account = '@outside'), 0)  AS outside,
       sum(available + reserved)                                                   AS imbalance
FROM public.balances
GROUP BY asset;

COMMENT ON VIEW public.asset_totals IS 'Where each asset is, and that none was made or lost.';
COMMENT ON COLUMN public.asset_totals.asset IS 'Asset.';
COMMENT ON COLUMN public.asset_totals.held IS 'Held by all traders, available and reserved, in the asset.';
COMMENT ON COLUMN public.asset_totals.fees IS 'Collected fees, in the asset.';
COMMENT ON COLUMN public.asset_totals.clearing IS 'Between buyers and sellers, in the asset; zero when both sides of each trade are settled.';
COMMENT ON COLUMN public.asset_totals.outside IS 'The world outside, in the asset: minus what was deposited, plus what was withdrawn.';
COMMENT ON COLUMN public.asset_totals.imbalance IS 'Sum of all accounts, in the asset; always zero.';
