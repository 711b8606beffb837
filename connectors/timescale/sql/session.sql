-- What each connection of the sink needs: no wait for the disk on commit, and a staging table for each merge.
-- A database that crashes may forget the last commits, rows and offsets together: the sink then finds that the
-- offsets moved, reads them again and applies the same records once more. Nothing is lost, nothing doubled.
SET synchronous_commit = off;
SET client_min_messages = warning;
CREATE TEMPORARY TABLE stage_candles (LIKE public.candles) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_best_quotes (LIKE public.best_quotes) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_orders (LIKE public.orders) ON COMMIT DELETE ROWS;
CREATE TEMPORARY TABLE stage_balances (LIKE public.balances) ON COMMIT DELETE ROWS;
