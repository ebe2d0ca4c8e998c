"""Routes: parse, one call, view. Nothing is decided here."""
