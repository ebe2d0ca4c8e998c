"""Kubernetes objects as the REST API sees them: a seam, its adapter, and a watched cache."""
