"""docs/conditions.md from the catalogue in `ranvier.resources.conditions`."""

import inspect
from typing import Final

from ranvier.resources.conditions import CATALOGUE, Documented

HEAD: Final = """\
<!-- Written by hack/crdgen.py from sdk/ranvier/resources/conditions.py. Change it there. -->

# Conditions and their reasons

What `status.conditions` of Ranvier's resources can say, and what to do about it. Types and reasons
are API: new ones are added, none is renamed or given another meaning. Programs read `type`,
`status` and `reason`; `message` is for people.

`kubectl get dbx` shows the reason of `Ready` as STATE and its message as WHY. To wait for one:

```sh
kubectl wait devbox/NAME --for=condition=Ready --timeout=2m
kubectl wait devbox/NAME --for=condition=Suspended --timeout=2m
```
"""


def page() -> str:
    """The whole page."""
    parts = [HEAD]
    for kind, condition, reasons in CATALOGUE:
        parts.append(f"\n## {kind}: {condition}\n\n{_words(reasons)}\n\n{_table(reasons)}")
    return "".join(parts)


def _words(reasons: type[Documented]) -> str:
    return " ".join(inspect.cleandoc(reasons.__doc__ or "").split())


def _table(reasons: type[Documented]) -> str:
    rows = ["| reason | meaning | what to do |", "|---|---|---|"]
    rows += [f"| `{reason}` | {reason.meaning} | {reason.action} |" for reason in reasons]
    return "\n".join(rows) + "\n"
