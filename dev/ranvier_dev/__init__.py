"""`ranvier dev`: the whole product on one machine, with devboxes as local processes.

Operator, API server and broker are the real ones. What they stand on is small: a Kubernetes API
that keeps a few kinds of objects (`objects`, `kube_api`) and a kubelet that runs pods as processes
(`pods`, `kubelet`). What it can not do, it says: no isolation, no images, no resource limits.
"""
