"""The parts of a multipart form as they come: small fields whole, the file in pieces. Pure."""

from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from ranvier_apiserver.errors import BadInput

FIELD_BYTES_MAX: Final = 64 * 1024
"""Longest value of a field that is no file, and longest name and header."""


class Form:
    """Bytes of a body in, pieces of its file out. `fields` are there when the file begins."""

    def __init__(self, content_type: str, file: str) -> None:
        kind, options = parse_options_header(content_type)
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise BadInput("Send the file as multipart/form-data, with the fields path and file.")
        self.fields: dict[str, str] = {}
        self.has_file = False
        self._is_over = False
        self._file = file
        self._name = ""
        self._header = b""
        self._value = b""
        self._field = b""
        self._pieces: list[bytes] = []
        self._parser = MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": self._part_begins,
                "on_part_data": self._part_goes_on,
                "on_part_end": self._part_ends,
                "on_header_field": self._header_field,
                "on_header_value": self._header_value,
                "on_header_end": self._header_ends,
                "on_end": self._over,
            },
        )

    def feed(self, data: bytes) -> list[bytes]:
        """The next bytes of the body; return what they hold of the file. Raises BadInput."""
        try:
            self._parser.write(data)
        except FormParserError as error:
            raise BadInput(f"The form can not be read: {error}.") from error
        pieces, self._pieces = self._pieces, []
        return pieces

    def finish(self) -> None:
        """The body is over. Raises BadInput when the form is not."""
        if not self._is_over:
            raise BadInput("The form ended before its last part did; nothing was written.")

    def _over(self) -> None:
        self._is_over = True

    def _part_begins(self) -> None:
        self._name, self._field = "", b""

    def _header_field(self, data: bytes, start: int, end: int) -> None:
        self._header = self._bounded(self._header, data[start:end])

    def _header_value(self, data: bytes, start: int, end: int) -> None:
        self._value = self._bounded(self._value, data[start:end])

    def _header_ends(self) -> None:
        if self._header.lower() == b"content-disposition":
            _, options = parse_options_header(self._value)
            self._name = options.get(b"name", b"").decode(errors="replace")
            self.has_file = self.has_file or self._name == self._file
        self._header = self._value = b""

    def _part_goes_on(self, data: bytes, start: int, end: int) -> None:
        if self._name == self._file:
            self._pieces.append(data[start:end])
        else:
            self._field = self._bounded(self._field, data[start:end])

    def _part_ends(self) -> None:
        if self._name and self._name != self._file:
            self.fields[self._name] = self._field.decode(errors="replace")

    def _bounded(self, known: bytes, more: bytes) -> bytes:
        if len(known) + len(more) > FIELD_BYTES_MAX:
            raise BadInput(f"A field of the form has at most {FIELD_BYTES_MAX} bytes.")
        return known + more
