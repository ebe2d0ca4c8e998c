"""Runloop's words and our resources: how one becomes the other. Pure: no I/O, no clock."""
