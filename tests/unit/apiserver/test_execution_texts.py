"""Commands, paths, text and forms on their way into a devbox, without one."""

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ranvier_apiserver.errors import BadInput
from ranvier_apiserver.executions import scripts
from ranvier_apiserver.executions.upload import Form
from ranvier_apiserver.executions.words import cut_text


@given(st.binary(max_size=60) | st.text(max_size=30).map(str.encode), st.lists(st.integers(1, 9)))
def test_text_is_the_same_however_it_is_cut(data: bytes, sizes: list[int]) -> None:
    text, start, held = "", 0, b""
    for size in [*sizes, len(data)]:
        piece, start = data[start : start + size], min(len(data), start + size)
        more, used = cut_text(held + piece, False)
        held = (held + piece)[used:]
        text += more
        assert len(held) < 4
    text += cut_text(held, True)[0]
    assert text == data.decode(errors="replace")


def run(script: str, home: Path, stdin: bytes = b"") -> "subprocess.CompletedProcess[bytes]":
    environment = {"HOME": str(home), "PATH": "/usr/bin:/bin"}
    return subprocess.run(
        ["/bin/sh", "-c", script], cwd=home, env=environment, input=stdin, capture_output=True
    )


names = st.text(
    st.characters(codec="utf-8", exclude_characters="/\0"), min_size=1, max_size=12
).filter(lambda name: name not in (".", "..", "~"))


@settings(max_examples=40, deadline=None)
@given(names, st.binary(max_size=40))
def test_a_file_may_have_any_name(
    tmp_path_factory: pytest.TempPathFactory, name: str, data: bytes
) -> None:
    home = tmp_path_factory.mktemp("home")
    for path in (name, f"~/under/{name}", f"{home}/other/{name}"):
        assert run(scripts.write(path), home, data).returncode == 0
        assert run(scripts.read(path), home).stdout == data
    found = [p for p in home.rglob("*") if p.is_file()]
    assert sorted(p.parent.name for p in found) == sorted([home.name, "under", "other"])
    assert {p.name for p in found} == {name}


@settings(max_examples=20, deadline=None)
@given(st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=20))
def test_a_command_is_not_touched(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    home = tmp_path_factory.mktemp("home")
    script = scripts.command(f"cat <<'END'\n{text}\nEND")
    if "END" not in text and "\r" not in text:
        assert run(script, home).stdout.decode() == f"{text}\n"


BODY = (
    b'--b\r\ncontent-disposition: form-data; name="path"\r\n\r\na/b\r\n'
    b'--b\r\nContent-Disposition: form-data; name="file"; filename="f"\r\n'
    b"Content-Type: application/octet-stream\r\n\r\nfirst\r\n--b\0\r\n-second\r\n--b--\r\n"
)


@given(st.lists(st.integers(1, 40)))
def test_a_form_is_read_however_it_is_cut(sizes: list[int]) -> None:
    form = Form("multipart/form-data; boundary=b", "file")
    start, found = 0, b""
    for size in [*sizes, len(BODY)]:
        found += b"".join(form.feed(BODY[start : start + size]))
        start = min(len(BODY), start + size)
    form.finish()
    assert (form.fields, found) == ({"path": "a/b"}, b"first\r\n--b\0\r\n-second")


def test_a_form_that_ends_early_is_refused() -> None:
    form = Form("multipart/form-data; boundary=b", "file")
    form.feed(BODY[:-10])
    with pytest.raises(BadInput, match="ended before"):
        form.finish()
    with pytest.raises(BadInput, match="multipart"):
        Form("application/json", "file")
    with pytest.raises(BadInput, match="can not be read"):
        Form("multipart/form-data; boundary=b", "file").feed(b"nonsense")
