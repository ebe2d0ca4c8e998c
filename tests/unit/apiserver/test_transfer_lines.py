"""The lines of an import, however its chunks are cut, and never more of them than fit."""

from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ranvier_apiserver import transfer
from ranvier_apiserver.errors import PayloadTooLarge


async def chunks_of(body: bytes, cuts: list[int]) -> AsyncIterator[bytes]:
    start = 0
    for cut in [*sorted(cut % (len(body) + 1) for cut in cuts), len(body)]:
        yield body[start:cut]
        start = cut


@given(
    lines=st.lists(st.binary(min_size=1, max_size=20).filter(lambda b: b"\n" not in b)),
    cuts=st.lists(st.integers(0, 1000)),
    ended=st.booleans(),
)
async def test_lines_are_found_however_a_body_is_cut(
    lines: list[bytes], cuts: list[int], ended: bool
) -> None:
    body = b"\n".join(lines) + b"\n" * ended
    found = [line async for line in transfer.split(chunks_of(body, cuts))]
    assert found == [line for line in lines if line.strip()]


async def test_a_line_without_an_end_is_not_collected(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfer, "LINE_BYTES_MAX", 10)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"xxxx"

    with pytest.raises(PayloadTooLarge, match="A line holds at most"):
        async for _ in transfer.split(endless()):
            pass
