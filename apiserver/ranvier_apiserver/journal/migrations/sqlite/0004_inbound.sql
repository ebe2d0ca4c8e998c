-- `inbound` is the sequence of the newest event up to and with this one that brokers read (origins EXTERNAL and
-- USER), 0 where there is none. It never falls within an axon, so "what is unread?" is found by halving, and no
-- publish pays for an index of its own.
-- Rows of before keep their checksums, which do not cover it.
ALTER TABLE event ADD COLUMN inbound INTEGER NOT NULL DEFAULT 0;

UPDATE event SET inbound = so_far.newest
FROM (
  SELECT position, coalesce(
    max(CASE WHEN origin IN (1, 3) THEN sequence END) OVER (PARTITION BY axon ORDER BY sequence), 0
  ) AS newest
  FROM event
) AS so_far
WHERE so_far.position = event.position;

DROP INDEX event_inbound;
