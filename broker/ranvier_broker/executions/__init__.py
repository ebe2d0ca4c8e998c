"""Executions: commands that users run in the devbox, over the API server and this sidecar.

`book` decides (pure), `desk` performs, `collector` and `shelf` keep output and records on disk,
`line` connects the desk to the API server, `frames` are the words they speak.
"""
