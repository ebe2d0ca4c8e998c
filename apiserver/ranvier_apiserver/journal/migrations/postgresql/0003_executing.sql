-- Whether the sidecar has executions under way: no sleep is granted meanwhile (W3).
ALTER TABLE devbox ADD COLUMN executing boolean NOT NULL DEFAULT false;
