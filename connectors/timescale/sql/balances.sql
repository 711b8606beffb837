-- Running sums of the ledger.
CREATE TABLE public.balances (
    account   text           NOT NULL,
    asset     text           NOT NULL,
    available numeric(28, 8) NOT NULL,
    reserved  numeric(28, 8) NOT NULL,
    PRIMARY KEY (account, asset)
) WITH (fillfactor = 50);

COMMENT ON TABLE public.balances IS 'What each account has: reservations of orders.validated plus postings of trades.settled. While the two topics are not read equally far, an available balance may be below what the validator saw.';
COMMENT ON COLUMN public.balances.account IS 'Account; @fees, @clearing and @outside are the system''s.';
COMMENT ON COLUMN public.balances.asset IS 'Asset, for example USD.';
COMMENT ON COLUMN public.balances.available IS 'Free to use, in the asset. Negative only for @outside (by what has been deposited) and, between the two sides of a trade, @clearing.';
COMMENT ON COLUMN public.balances.reserved IS 'Held for open orders and withdrawals, in the asset.';
