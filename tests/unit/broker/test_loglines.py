"""stderr becomes log lines within a rate and a length."""

from ranvier_broker.loglines import LINE_CHARACTERS_MAX, LINES_AT_ONCE_MAX, LogLines


def test_lines_are_whole_whatever_the_split() -> None:
    lines = LogLines()
    assert lines.feed(b"on", 0) == []
    assert lines.feed(b"e\r\n\ntwo\nthr", 0) == ["one", "two"]
    assert lines.finish(0) == ["thr"]
    assert lines.finish(0) == []


def test_a_long_line_is_cut_and_what_is_no_text_replaced() -> None:
    lines = LogLines()
    for _ in range(1000):
        assert lines.feed(b"x" * 1000, 0) == []
    assert lines.feed(b"\n\xff\n", 0) == ["x" * LINE_CHARACTERS_MAX, "\ufffd"]


def test_what_is_over_the_rate_is_counted_and_the_count_is_told() -> None:
    lines = LogLines()
    assert len(lines.feed(b"a\n" * (LINES_AT_ONCE_MAX + 50), 0)) == LINES_AT_ONCE_MAX
    assert lines.feed(b"b\n", 10) == []
    told = lines.feed(b"c\n", 1_000)
    assert told == ["… 51 lines were dropped: more than 20 a second", "c"]
    assert lines.feed(b"d\n", 1_000) == ["d"]
    lines.feed(b"e\n" * 500, 1_000)
    assert "lines were dropped" in lines.finish(1_000)[-1]
