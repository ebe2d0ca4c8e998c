"""The journal: what happened, in order, durable. `store.py` is the seam; SQLite is behind it."""
