-- The journal of all axons. Every table changes only under the journal's lock (see `postgresql`), and every
-- transaction that changes one adds a row to `journal_commit`.

-- One row a transaction, in order, without gaps. `stamp` tells two histories apart that have the same length.
-- `position` is that of the newest event; `touched` a JSON object: keys of rows that changed, by table.
CREATE TABLE journal_commit (
  version       bigint PRIMARY KEY,
  stamp         bigint NOT NULL,
  position      bigint NOT NULL,
  touched       text NOT NULL
);

INSERT INTO journal_commit VALUES (0, (random() * 1e15)::bigint, 0, '{}');

CREATE TABLE axon (
  number         bigint PRIMARY KEY,
  axon_id        text NOT NULL UNIQUE,
  name           text,
  metadata       text NOT NULL,              -- JSON object of strings
  created_at_ms  bigint NOT NULL,
  deleted_at_ms  bigint,
  cursor_floor   bigint NOT NULL
);

-- `position` orders all events of all axons as they were committed; it is private and never promised.
-- `total_bytes` is the sum of payload bytes of the axon up to and with this row.
-- `checksum` is over every field, so that damage is noticed where the server would not (J7).
CREATE TABLE event (
  position      bigint PRIMARY KEY,
  axon          bigint NOT NULL,
  sequence      bigint NOT NULL,
  timestamp_ms  bigint NOT NULL,
  origin        bigint NOT NULL,             -- 1 EXTERNAL, 2 AGENT, 3 USER, 4 SYSTEM
  source        text NOT NULL,
  event_type    text NOT NULL,
  payload       bytea NOT NULL,              -- UTF-8, byte for byte
  total_bytes   bigint NOT NULL,
  checksum      bigint NOT NULL,
  UNIQUE (axon, sequence)
);

-- Compressing large payloads would take longer than the rest of their way to the disk.
ALTER TABLE event ALTER payload SET STORAGE EXTERNAL;

-- What brokers read: "is anything unread?" must not walk over an agent's output.
CREATE INDEX event_inbound ON event (axon, sequence) WHERE origin IN (1, 3);

-- First answers of requests that carried an x-request-id (J4). `digest` is of key, route and id.
CREATE TABLE answer (
  number         bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  digest         bytea NOT NULL UNIQUE,
  kept           bytea NOT NULL,
  created_at_ms  bigint NOT NULL
);

CREATE TABLE axon_claim (
  resource_uid     text PRIMARY KEY,
  axon_id          text NOT NULL,
  namespace        text NOT NULL,
  name             text NOT NULL,
  metadata         text NOT NULL,
  deletion_policy  text NOT NULL
);

CREATE TABLE devbox (
  uid               text PRIMARY KEY,
  namespace         text NOT NULL,
  name              text NOT NULL,
  wake_on_event     boolean NOT NULL,
  held              boolean NOT NULL,
  last_activity_ms  bigint NOT NULL,
  generation        bigint NOT NULL,
  asleep            boolean NOT NULL,
  resume_requested  boolean NOT NULL
);

CREATE TABLE mount (
  devbox_uid         text NOT NULL,
  mount_index        bigint NOT NULL,
  axon_id            text NOT NULL,
  protocol           text NOT NULL,
  cursor             bigint NOT NULL,
  control_cursor     bigint NOT NULL,
  last_activity_ms   bigint NOT NULL,
  epoch              bigint NOT NULL,
  attached           boolean NOT NULL,
  turn_id            text,                   -- the open turn, if any
  turn_trigger       bigint,
  turn_started       bigint,
  last_trigger       bigint NOT NULL,
  state              text NOT NULL,          -- the broker's own JSON
  last_batch         bigint NOT NULL,
  last_first         bigint NOT NULL,
  last_last          bigint NOT NULL,
  PRIMARY KEY (devbox_uid, mount_index)
);
