"""A local Kubernetes cluster from package registries alone.

`hack/cluster` gives every developer and every test the same thing: a kind cluster with a
kubeconfig. On a machine with Docker and an image registry that is what kind does anyway. Where
there is only a Debian mirror, PyPI and the Go module proxy, this package builds what is missing
(the programs, a node image, a private Docker daemon), once, into a cache.

Five nouns carry it:

- **Places** (`places`): the *cache*, which may be deleted at any time, and the *state*, which says
  what runs now.
- **Recipe** (`recipe`): every version that is pinned. Whatever is built is keyed by the hash of its
  recipe.
- **Docker** (`docker_daemon`): the machine's daemon when one answers, else a private one that
  leaves no trace.
- **Node image** (`node_image`): the stock one where it can be pulled, else our own.
- **Target** (`target`): the cluster the commands are about: our kind cluster, or a context that the
  user named.

Python's standard library only: this runs before any virtual environment exists.
"""
