"""A private SQLite database for each axon, for its users' SQL. `engine.py` is the seam.

The server's process never runs a user's SQL: worker processes do, each with bounded time and
memory, so a runaway statement costs one worker and nothing else. `policy.py` says what SQL may do.
"""
