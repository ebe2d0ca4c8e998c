"""What the Kubernetes API server was asked, from its own metric `apiserver_request_total`. Pure.

The metric knows the verb, the resource and the answer, not who asked. So writes are sorted by what
they are about: leases (elections and nodes), reviews and tokens (asked of the API server, stored
nowhere), and all the rest, which is what an idle fleet must not cause.
"""

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

WRITES: Final = frozenset({"POST", "PUT", "PATCH", "APPLY", "DELETE", "DELETECOLLECTION"})
METRIC: Final = "apiserver_request_total"
_LABEL: Final = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')
_APART: Final = {
    "leases": "leases",
    "tokenreviews": "reviews and tokens, stored nowhere",
    "subjectaccessreviews": "reviews and tokens, stored nowhere",
    "selfsubjectaccessreviews": "reviews and tokens, stored nowhere",
    "selfsubjectrulesreviews": "reviews and tokens, stored nowhere",
    "serviceaccounts/token": "reviews and tokens, stored nowhere",
    "nodes/status": "the node's own heartbeat",
}


@dataclass(frozen=True, slots=True, order=True)
class Request:
    """`resource`: `group/resource/subresource` without what is empty; the core group is none.
    `refused`: the answer was an error of the caller's (4xx), so nothing was written."""

    verb: str
    resource: str
    refused: bool = False


def counts(metrics: str) -> Counter[Request]:
    """Requests so far, from the text of /metrics."""
    found: Counter[Request] = Counter()
    for line in metrics.splitlines():
        if not line.startswith(f"{METRIC}{{"):
            continue
        labels, _, value = line.removeprefix(METRIC).rpartition(" ")
        named = dict(_LABEL.findall(labels))
        parts = (named.get(name, "") for name in ("group", "resource", "subresource"))
        resource = "/".join(part for part in parts if part)
        refused = named.get("code", "").startswith("4")
        found[Request(named.get("verb", ""), resource, refused)] += round(float(value))
    return found


def writes(before: Mapping[Request, int], after: Mapping[Request, int]) -> Counter[Request]:
    """The writes between two readings."""
    return Counter(
        {
            request: count - before.get(request, 0)
            for request, count in after.items()
            if request.verb in WRITES and count > before.get(request, 0)
        }
    )


def sorted_out(found: Mapping[Request, int]) -> tuple[Counter[str], Counter[Request]]:
    """Writes that an idle fleet has nothing to do with, by what they are; and all others."""
    apart: Counter[str] = Counter()
    others: Counter[Request] = Counter()
    for request, count in found.items():
        kind = next(
            (kind for tail, kind in _APART.items() if _is_about(request.resource, tail)), None
        )
        if kind is None:
            others[request] += count
        else:
            apart[kind] += count
    return apart, others


def _is_about(resource: str, tail: str) -> bool:
    return resource == tail or resource.endswith(f"/{tail}")
