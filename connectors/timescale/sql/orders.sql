-- Each order as it stands. The room that the fill factor leaves keeps updates off the indexes.
CREATE TABLE public.orders (
    order_id           bigint         NOT NULL PRIMARY KEY,
    account            text           NOT NULL,
    client_order_id    text           NOT NULL,
    instrument         text,
    side               text,
    order_type         text,
    time_in_force      text,
    price              numeric(28, 8),
    stop_price         numeric(28, 8),
    quantity           numeric(28, 8),
    filled             numeric(28, 8) NOT NULL,
    leaves             numeric(28, 8) NOT NULL,
    status             text           NOT NULL,
    reason             text,
    updated_at         timestamptz    NOT NULL,
    position_partition int            NOT NULL,
    position_offset    bigint         NOT NULL
) WITH (fillfactor = 70);

-- No index on a column that changes (status, updated_at): it would double the cost of each update.
CREATE INDEX orders_account ON public.orders (account, order_id);
-- By the client's own identity, as the gateway is asked for it.
CREATE INDEX orders_client_order_id ON public.orders (account, client_order_id);

COMMENT ON TABLE public.orders IS 'Current state of each order, from trades.executed (the newest offset wins) and orders.rejected (PLACE only). Names of sides, types and so on are the schema''s symbols in lower case.';
COMMENT ON COLUMN public.orders.order_id IS 'Identity of the order: partition of its PLACE command in orders times 2^44 plus its offset.';
COMMENT ON COLUMN public.orders.account IS 'Its owner.';
COMMENT ON COLUMN public.orders.client_order_id IS 'The client''s own identity of the order. Not unique: a rejected duplicate is an order of its own.';
COMMENT ON COLUMN public.orders.instrument IS 'Its book; NULL if a rejected command named none.';
COMMENT ON COLUMN public.orders.side IS 'buy or sell; NULL for rejected.';
COMMENT ON COLUMN public.orders.order_type IS 'limit, market, stop or stop_limit, as placed; NULL for rejected.';
COMMENT ON COLUMN public.orders.time_in_force IS 'gtc, day, gtd, ioc or fok; NULL for rejected.';
COMMENT ON COLUMN public.orders.price IS 'Worst price that it may trade at, in the quote asset (market and stop: the collar''s edge); NULL for rejected.';
COMMENT ON COLUMN public.orders.stop_price IS 'Last trade price that wakes a stop, in the quote asset; NULL for others.';
COMMENT ON COLUMN public.orders.quantity IS 'Total quantity, filled part included, in the base asset; NULL for rejected.';
COMMENT ON COLUMN public.orders.filled IS 'Filled so far, in the base asset.';
COMMENT ON COLUMN public.orders.leaves IS 'Still open, in the base asset; for a cancelled or expired order what was given up.';
COMMENT ON COLUMN public.orders.status IS 'open, waiting (a stop that sleeps), partly_filled, filled, cancelled, expired or rejected; the last four are ends.';
COMMENT ON COLUMN public.orders.reason IS 'cancelled: why, for example requested or self_trade. rejected: the reason code, for example insufficient_funds. Else NULL.';
COMMENT ON COLUMN public.orders.updated_at IS 'Time of the last change: validated_at_ms of the event; for rejected the command''s append time. Milliseconds.';
COMMENT ON COLUMN public.orders.position_partition IS 'Partition of the record of the last change: in orders.rejected for rejected, else in trades.executed.';
COMMENT ON COLUMN public.orders.position_offset IS 'Offset of that record.';
