-- Users' SQL databases, as pages of SQLite's file. Unlike all other tables these change under a lock per axon, in
-- transactions of their own that `journal_commit` does not count: what happens in them is nobody's event.
CREATE TABLE axon_sql (
  axon        bigint PRIMARY KEY,
  version     bigint NOT NULL,               -- of the transaction that changed it last: 1, 2, 3 …
  page_count  bigint NOT NULL
);

-- `version` is that of the transaction that wrote the page last, so a copy of version n lacks what is above n.
-- `checksum` is over number and content (J7).
CREATE TABLE axon_sql_page (
  axon         bigint NOT NULL,
  page_number  bigint NOT NULL,
  version      bigint NOT NULL,
  content      bytea NOT NULL,
  checksum     bigint NOT NULL,
  PRIMARY KEY (axon, page_number)
);
CREATE INDEX axon_sql_page_version ON axon_sql_page (axon, version);
