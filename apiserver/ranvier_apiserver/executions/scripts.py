"""What runs in the devbox for a command, for reading a file and for writing one. Pure.

The sidecar has set HOME and entered it before. Any image with /bin/sh and `cat` will do.
"""

import shlex
from typing import Final

NO_FILE_STATUS: Final = 66
"""sysexits' EX_NOINPUT."""

_COMMAND: Final = """\
set -- {command}
# A shell in the background ignores these signals, and so would all that it starts.
plain='env --default-signal=INT,QUIT'
$plain true 2>/dev/null || plain=
command -v bash >/dev/null 2>&1 && exec $plain bash -lc "$1"
exec $plain sh -lc "$1"
"""

_READ: Final = """\
file={path}
[ -e "$file" ] || {{ echo "there is no file $file" >&2; exit {missing}; }}
[ -d "$file" ] && {{ echo "$file is a directory" >&2; exit 1; }}
exec cat <"$file"
"""

# A new file is there whole or not at all. One that is there keeps its mode, its owner and its
# links; it is written when all of the new content has come.
_WRITE: Final = """\
file={path}
[ -d "$file" ] && {{ echo "$file is a directory" >&2; exit 1; }}
folder=${{file%/*}}
[ "$folder" = "$file" ] || [ -z "$folder" ] || mkdir -p "$folder" || exit 1
draft=$file.$$.part
trap 'rm -f "$draft"; exit 1' TERM
cat >"$draft" || {{ rm -f "$draft"; exit 1; }}
if [ -e "$file" ] || [ -L "$file" ]; then
  cat "$draft" >"$file"
  status=$?
  rm -f "$draft"
  exit $status
fi
mv "$draft" "$file"
"""


def command(text: str) -> str:
    """The user's command in a fresh login shell: bash where there is one."""
    return _COMMAND.format(command=shlex.quote(text))


def read(path: str) -> str:
    """The file's bytes on stdout."""
    return _READ.format(path=_place(path), missing=NO_FILE_STATUS)


def write(path: str) -> str:
    """stdin into the file, with the folders on the way to it."""
    return _WRITE.format(path=_place(path))


def _place(path: str) -> str:
    """The path as a shell word: relative to home, which `~` means too."""
    if path == "~" or path.startswith("~/"):
        return f'"$HOME"{shlex.quote(path[1:])}' if len(path) > 1 else '"$HOME"'
    if path.startswith("/"):
        return shlex.quote(path)
    return shlex.quote(f"./{path}")
