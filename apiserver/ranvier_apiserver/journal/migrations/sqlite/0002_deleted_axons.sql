-- Upkeep looks for deleted axons whose events are still there; it must not walk over all the others.
CREATE INDEX axon_deleted ON axon (number) WHERE deleted_at_ms IS NOT NULL;
