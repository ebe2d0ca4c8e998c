-- The journal of all axons. One file, one writer; every table changes only in the writer's transactions.

CREATE TABLE axon (
  number         INTEGER PRIMARY KEY,
  axon_id        TEXT NOT NULL UNIQUE,
  name           TEXT,
  metadata       TEXT NOT NULL,              -- JSON object of strings
  created_at_ms  INTEGER NOT NULL,
  deleted_at_ms  INTEGER,
  cursor_floor   INTEGER NOT NULL
);

-- `position` orders all events of all axons as they were written; it is private and never promised.
-- `total_bytes` is the sum of payload bytes of the axon up to and with this row.
-- `checksum` is over every field, so that a flipped bit is noticed where SQLite would not (J7).
CREATE TABLE event (
  position      INTEGER PRIMARY KEY,
  axon          INTEGER NOT NULL,
  sequence      INTEGER NOT NULL,
  timestamp_ms  INTEGER NOT NULL,
  origin        INTEGER NOT NULL,            -- 1 EXTERNAL, 2 AGENT, 3 USER, 4 SYSTEM
  source        TEXT NOT NULL,
  event_type    TEXT NOT NULL,
  payload       BLOB NOT NULL,               -- UTF-8, byte for byte
  total_bytes   INTEGER NOT NULL,
  checksum      INTEGER NOT NULL,
  UNIQUE (axon, sequence)
);

-- What brokers read: "is anything unread?" must not walk over an agent's output.
CREATE INDEX event_inbound ON event (axon, sequence) WHERE origin IN (1, 3);

-- First answers of requests that carried an x-request-id (J4). `digest` is of key, route and id.
CREATE TABLE answer (
  number         INTEGER PRIMARY KEY,
  digest         BLOB NOT NULL UNIQUE,
  kept           BLOB NOT NULL,
  created_at_ms  INTEGER NOT NULL
);

CREATE TABLE axon_claim (
  resource_uid     TEXT PRIMARY KEY,
  axon_id          TEXT NOT NULL,
  namespace        TEXT NOT NULL,
  name             TEXT NOT NULL,
  metadata         TEXT NOT NULL,
  deletion_policy  TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE devbox (
  uid               TEXT PRIMARY KEY,
  namespace         TEXT NOT NULL,
  name              TEXT NOT NULL,
  wake_on_event     INTEGER NOT NULL,
  held              INTEGER NOT NULL,
  last_activity_ms  INTEGER NOT NULL,
  generation        INTEGER NOT NULL,
  asleep            INTEGER NOT NULL,
  resume_requested  INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE mount (
  devbox_uid         TEXT NOT NULL,
  mount_index        INTEGER NOT NULL,
  axon_id            TEXT NOT NULL,
  protocol           TEXT NOT NULL,
  cursor             INTEGER NOT NULL,
  control_cursor     INTEGER NOT NULL,
  last_activity_ms   INTEGER NOT NULL,
  epoch              INTEGER NOT NULL,
  attached           INTEGER NOT NULL,
  turn_id            TEXT,                   -- the open turn, if any
  turn_trigger       INTEGER,
  turn_started       INTEGER,
  last_trigger       INTEGER NOT NULL,
  state              TEXT NOT NULL,          -- the broker's own JSON
  last_batch         INTEGER NOT NULL,
  last_first         INTEGER NOT NULL,
  last_last          INTEGER NOT NULL,
  PRIMARY KEY (devbox_uid, mount_index)
) WITHOUT ROWID;
