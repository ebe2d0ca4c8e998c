"""The client: axons and devboxes over HTTP, synchronous (`Ranvier`) or not (`AsyncRanvier`).

Calls are values (`calls`, `axon_calls`, `devbox_calls`), the decisions about them are pure
(`attempts`, `retries`, `tails`), and two thin shells perform them (`aio`, `blocking`).
"""
