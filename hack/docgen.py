"""Writes the reference in docs/reference from the code: Python API, HTTP API, resources.

python hack/docgen.py           write the pages
python hack/docgen.py --check   print how the pages differ from the code; exit 1 if they do
"""

import sys
from pathlib import Path
from typing import Final

import docgen_http
import docgen_python
import docgen_resources
import generated

FOLDER: Final = Path("docs/reference")
FIX: Final = "make generate"


def outputs() -> dict[Path, str]:
    """Every page, by its path from the root of the repository."""
    pages = {"http.md": docgen_http.page(), "resources.md": docgen_resources.page()}
    pages |= {name: docgen_python.page(name) for name in docgen_python.PAGES}
    return {FOLDER / name: text for name, text in pages.items()}


def main(arguments: list[str] | None = None) -> int:
    about = "Writes docs/reference."
    return generated.run(arguments, outputs(), (FOLDER,), about=about, fix=FIX)


if __name__ == "__main__":
    sys.exit(main())
