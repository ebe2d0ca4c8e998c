"""The journal on PostgreSQL: an existing server, several replicas of the API server.

All replicas write under one lock, so the journal is one sequence of transactions, as on SQLite.
Each keeps the state in memory, and before it writes it reads what the others wrote since. The table
`journal_commit` tells what that was.
"""
