"""What a devbox is given before its launch commands run: files, and clones of repositories. PURE.

The start command gets them as arguments, never as parts of a script, so nothing in them needs
quoting; a file's content travels in pieces, because Linux takes no longer argument than 128 KiB.
Marks in the home directory tell a later start what was done: what lies there is the agent's work by
then. The start ends with a sentence about what could not be done.
"""

import hashlib
from collections.abc import Iterator
from typing import Final

from ranvier_operator.resolution import CodeWanted, FileWanted, SecretEntry

SAID_PATH: Final = "/dev/termination-log"
"""What is written there, Kubernetes shows as the container's last words."""
FAIL: Final = f"""\
fail() {{
  echo "ranvier: $1" >&2
  {{ echo "$1" >{SAID_PATH}; }} 2>/dev/null
  exit "${{2:-1}}"
}}
"""
PIECE_CHARACTERS: Final = 16_384
"""Of a file's content in one argument, which holds five bytes for a character at most."""
SLOW_BYTES_PER_SECOND: Final = 1000
SLOW_SECONDS: Final = 60
"""A clone that is slower than this for so long is given up, and the start tried again."""
USERNAME: Final = "x-access-token"
"""The user that goes with a token; hosts look at the token alone."""

_SCRIPT: Final = """\
while [ "$1" != -- ]; do
  kind=$1 mark=$2 where=$3 count=$4
  shift 4
  if [ -n "$mark" ] && [ -e "$mark" ]; then shift "$count"; continue; fi
  folder=${where%/*}
  [ -z "$folder" ] || mkdir -p "$folder" || fail "The folder of $where can not be made."
  if [ "$kind" = file ]; then
    [ ! -d "$where" ] || fail "File mount $where is a directory."
    printf '' >"$where.part" || fail "File mount $where can not be written."
    while [ "$count" -gt 0 ]; do
      printf %b "$1" >>"$where.part" || fail "File mount $where can not be written."
      shift
      count=$((count - 1))
    done
    mv -f "$where.part" "$where" || fail "File mount $where can not be written."
  else
    code "$where" "$1" "$2" "$3" "$4"
    shift "$count"
  fi
  [ -z "$mark" ] || { mkdir -p "${mark%/*}" && printf '' >"$mark"; } ||
    fail "The home directory can not be written."
done
shift
"""
_CODE: Final = f"""\
code() {{ # PATH URL REF TOKEN_VARIABLE INSTALL_COMMAND
  command -v git >/dev/null || fail "Code mount $2 needs git, and the image has none."
  if [ ! -e "$1/.git" ]; then
    [ ! -e "$1" ] || fail "Code mount $2: $1 is there already and is no clone."
    rm -rf "$1.part"
    helper="!answer() {{ echo username={USERNAME}; echo \\"password=\\$$4\\"; }}; answer"
    said=$(GIT_TERMINAL_PROMPT=0 git -c http.lowSpeedLimit={SLOW_BYTES_PER_SECOND} \
      -c http.lowSpeedTime={SLOW_SECONDS} -c credential.helper= \
      ${{4:+-c}} ${{4:+"credential.helper=$helper"}} \
      clone --quiet -- "$2" "$1.part" 2>&1) || fail "Code mount $2 can not be cloned: $said"
    [ -z "$3" ] || said=$(git -C "$1.part" checkout --quiet "$3" -- 2>&1) ||
      fail "Code mount $2 has no branch, tag or commit $3: $said"
    mv "$1.part" "$1" || fail "Code mount $2: $1 can not be written."
  fi
  [ -z "$5" ] || (cd "$1" && exec /bin/sh -c "$5") ||
    fail "The install command of code mount $2 failed with exit code $?." "$?"
}}
"""

Supplies = tuple[FileWanted | CodeWanted, ...]


def script(supplies: Supplies) -> str:
    """What works off `words`, and leaves the arguments after them. `FAIL` comes before it."""
    if not supplies:
        return ""
    has_code = any(isinstance(each, CodeWanted) for each in supplies)
    names = " ".join(variables(supplies))
    forget = f"unset {names}\n" if names else ""
    return (_CODE if has_code else "") + _SCRIPT + forget


def words(supplies: Supplies, home: str) -> tuple[str, ...]:
    """The arguments, ended by `--`; none without supplies."""
    found = [word for supply in supplies for word in _words(supply, home)]
    return (*found, "--") if found else ()


def variables(supplies: Supplies) -> dict[str, SecretEntry]:
    """The variables that clones take their tokens from."""
    return {
        _variable(each): each.token
        for each in supplies
        if isinstance(each, CodeWanted) and each.token is not None
    }


def _words(supply: FileWanted | CodeWanted, home: str) -> Iterator[str]:
    mark = f"{home}/.ranvier/mounts/"
    if isinstance(supply, CodeWanted):
        # Not the reference: another one would not move a clone in which somebody has worked.
        yield from ("code", mark + _digest(supply.path, supply.url), supply.path, "4")
        token = _variable(supply) if supply.token is not None else ""
        yield from (supply.url, supply.ref, token, supply.install_command)
        return
    lasts = supply.path.startswith(f"{home}/")
    pieces = [
        _escaped(supply.content[begin : begin + PIECE_CHARACTERS])
        for begin in range(0, len(supply.content), PIECE_CHARACTERS)
    ]
    yield from ("file", mark + _digest(supply.path, supply.content) if lasts else "", supply.path)
    yield from (str(len(pieces)), *pieces)


def _escaped(text: str) -> str:
    """As `printf %b` takes it. Without `$`, which Kubernetes reads, and without paths."""
    return text.replace("\\", "\\\\").replace("/", "\\0057").replace("$", "\\0044")


def _variable(code: CodeWanted) -> str:
    return f"RANVIER_CODE_TOKEN_{code.index}"


def _digest(*parts: str) -> str:
    return hashlib.blake2b("\0".join(parts).encode(), digest_size=16).hexdigest()
