"""Builders of the objects that the operator creates: values in, JSON out. PURE."""
