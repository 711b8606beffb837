-- What each connection of the sink begins with: a commit does not wait for the disk.
-- A database that crashes may forget the last commits, rows and offsets together: the sink then finds that the
-- offsets moved, reads them again and applies the same records once more. Nothing is lost, nothing doubled.
SET synchronous_commit = off;
