"""Bytes of output as text for JSON. Pure."""

import codecs


def cut_text(data: bytes, is_end: bool) -> tuple[str, int]:
    """The text in these bytes, and how many bytes it took.

    A character whose rest is still to come is left; what is no UTF-8 becomes U+FFFD.
    """
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    text = decoder.decode(data, is_end)
    held, _ = decoder.getstate()
    return text, len(data) - len(held)
