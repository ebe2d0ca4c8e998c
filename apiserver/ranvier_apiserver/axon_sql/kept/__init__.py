"""Users' databases on PostgreSQL: their pages are rows, and a replica works on a copy in a file.

A request that writes takes its axon's lock, brings the copy up to date, runs on it, and keeps the
pages that changed in one transaction of PostgreSQL; only then it is answered. So what was answered
is durable, every replica sees it, and what failed or died left nothing. Workers hold no connection:
the server hands them the events of the one axon that their job is about.
"""
