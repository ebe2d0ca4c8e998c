"""One page of a list that lies in memory. Pure."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from ranvier_apiserver.errors import BadInput

T = TypeVar("T")
Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Ask:
    """What a list was asked for: `after` is the id of the last item seen."""

    limit: int
    after: str | None
    with_total: bool


def page_of(items: Sequence[T], ask: Ask, id_of: Callable[[T], str]) -> tuple[Sequence[T], Row]:
    """The page's items, and the answer's other fields."""
    begin = 0
    if ask.after is not None:
        ids = [id_of(item) for item in items]
        if ask.after not in ids:
            raise BadInput(f"starting_after: {ask.after!r} is not in this list; start again.")
        begin = ids.index(ask.after) + 1
    end = begin + ask.limit
    rest: Row = {"has_more": end < len(items)}
    if ask.with_total:
        rest["total_count"] = len(items)
    return items[begin:end], rest
