"""The broker: stands between a devbox's agent and its axon, one turn at a time.

Read in this order. `events` is all that can happen to a broker, `commands` all that it can ask for.
`turns` decides: a pure machine that takes an event and the time and returns commands. It keeps
what it has read in `intake`, what it has to write in `outbox`, and knows an agent's protocol only
through `codecs`: bytes in, facts out. `shell` performs the commands with `journal` (the API server)
and `bridge` (the agent's process behind named pipes, started by `launcher.sh`).
"""
