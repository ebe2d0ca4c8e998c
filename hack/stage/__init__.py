"""The stage: puts the product on a cluster, shows its main job, and runs the test tiers.

Developer tools, run from a checkout. Nothing here ships in an image.
"""
