"""What all codecs say alike of an agent's lines, within the limits of an axon event."""

from ranvier.events import PAYLOAD_BYTES_MAX

from ranvier_broker.codecs.base import Complaint, Garbage, Said
from ranvier_broker.codecs.jsonl import LineTooLong
from ranvier_broker.codecs.jsonrpc import EXCERPT_CHARACTERS


def fits(payload: str) -> bool:
    """Whether an axon event may be that large."""
    if len(payload) * 4 <= PAYLOAD_BYTES_MAX:
        return True
    return len(payload.encode()) <= PAYLOAD_BYTES_MAX


def said(event_type: str, payload: str) -> Said | Complaint:
    """The agent's words for the axon, or the complaint that they are too many."""
    if fits(payload):
        return Said(event_type, payload)
    what = f"{event_type} with {len(payload)} characters"
    return Complaint("payload_too_large", f"{what} is larger than an event may be")


def too_long(line: LineTooLong, line_bytes_max: int) -> Complaint:
    """A line over the limit of lines: nobody knows what it was."""
    why = f"a line of {line.size} bytes is over the limit of {line_bytes_max}"
    return Complaint("line_too_long", f"{why}; it began {excerpt(line)!r}")


def cut_off(line: bytes | LineTooLong) -> Garbage:
    """The line that the agent's end left without its own."""
    return Garbage("cut off by the agent's end", excerpt(line))


def excerpt(line: bytes | LineTooLong) -> str:
    """A line's beginning, for people."""
    beginning = line.beginning if isinstance(line, LineTooLong) else line
    return beginning[:EXCERPT_CHARACTERS].decode(errors="replace")
