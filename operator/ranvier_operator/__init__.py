"""The controller: turns Devbox, Axon and Blueprint resources into pods, volumes and bindings.

`lifecycle.decide` is the heart and pure: what was seen goes in, a plan comes out. `reconcile`
observes and carries the plan out; `cluster` and `journal` are its two hands; `controller` puts it
all together.
"""
