-- One row for each book: the newest best quotes.
CREATE TABLE public.best_quotes (
    venue              text        NOT NULL,
    instrument         text        NOT NULL,
    bid_price          numeric(28, 8),
    bid_quantity       numeric(28, 8),
    ask_price          numeric(28, 8),
    ask_quantity       numeric(28, 8),
    quoted_at          timestamptz NOT NULL,
    position_partition int         NOT NULL,
    position_offset    bigint      NOT NULL,
    PRIMARY KEY (venue, instrument)
) WITH (fillfactor = 50);

COMMENT ON TABLE public.best_quotes IS 'Current best quotes of each book, from trades.executed (QUOTED) and market.ticks (QUOTE). The newest offset wins.';
COMMENT ON COLUMN public.best_quotes.venue IS 'tapeline for own books, else the venue''s name.';
COMMENT ON COLUMN public.best_quotes.instrument IS 'Instrument, as the venue calls it.';
COMMENT ON COLUMN public.best_quotes.bid_price IS 'Best price that a buyer offers, in the quote asset; NULL if nobody does.';
COMMENT ON COLUMN public.best_quotes.bid_quantity IS 'Displayed quantity at the best bid, in the base asset; NULL if there is none.';
COMMENT ON COLUMN public.best_quotes.ask_price IS 'Best price that a seller asks, in the quote asset; NULL if nobody does.';
COMMENT ON COLUMN public.best_quotes.ask_quantity IS 'Displayed quantity at the best ask, in the base asset; NULL if there is none.';
COMMENT ON COLUMN public.best_quotes.quoted_at IS 'Time of the change: validated_at_ms of an own quote (milliseconds), else the venue''s time (microseconds).';
COMMENT ON COLUMN public.best_quotes.position_partition IS 'Partition of the record: in trades.executed for venue tapeline, else in market.ticks.';
COMMENT ON COLUMN public.best_quotes.position_offset IS 'Offset of the record in that partition.';
