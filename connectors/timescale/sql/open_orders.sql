CREATE VIEW public.open_orders AS
SELECT order_id, account, client_order_id, instrument, side, order_type, time_in_force,
       price, stop_price, quantity, filled, leaves, status, updated_at
FROM public.orders
WHERE status IN ('open', 'waiting', 'partly_filled');

COMMENT ON VIEW public.open_orders IS 'Orders that have not ended; columns as in orders.';
COMMENT ON COLUMN public.open_orders.order_id IS 'Identity of the order.';
COMMENT ON COLUMN public.open_orders.account IS 'Its owner.';
COMMENT ON COLUMN public.open_orders.client_order_id IS 'The client''s own identity of the order.';
COMMENT ON COLUMN public.open_orders.instrument IS 'Its book.';
COMMENT ON COLUMN public.open_orders.side IS 'buy or sell.';
COMMENT ON COLUMN public.open_orders.order_type IS 'limit, market, stop or stop_limit, as placed.';
COMMENT ON COLUMN public.open_orders.time_in_force IS 'gtc, day, gtd, ioc or fok.';
COMMENT ON COLUMN public.open_orders.price IS 'Worst price that it may trade at, in the quote asset.';
COMMENT ON COLUMN public.open_orders.stop_price IS 'Last trade price that wakes a stop, in the quote asset; NULL for others.';
COMMENT ON COLUMN public.open_orders.quantity IS 'Total quantity, filled part included, in the base asset.';
COMMENT ON COLUMN public.open_orders.filled IS 'Filled so far, in the base asset.';
COMMENT ON COLUMN public.open_orders.leaves IS 'Still open, in the base asset.';
COMMENT ON COLUMN public.open_orders.status IS 'open, waiting or partly_filled.';
COMMENT ON COLUMN public.open_orders.updated_at IS 'Time of the last change, milliseconds.';
