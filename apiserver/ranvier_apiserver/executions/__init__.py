"""Executions and files as Runloop's API has them, on top of the sidecar's few words.

A file is read and written by a short command in the devbox, so it is its user's to see, and what
holds for executions holds for files: nothing of them is kept here.
"""
