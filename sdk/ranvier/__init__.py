"""Ranvier's shared vocabulary: axons, devboxes, events and the wire between the parts.

This distribution is the bottom layer. It needs pydantic and httpx only, and never imports the
operator, the API server or the broker.
"""

__version__ = "0.1.0"
