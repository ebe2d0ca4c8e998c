"""Programs of the server's distribution that this command starts, found without importing them."""

from collections.abc import Sequence
from importlib.util import find_spec

from ranvier.client.errors import RanvierError


def expect_installed(packages: Sequence[str], what: str, extra: str) -> None:
    """Raises RanvierError, which names the extra to install, unless all packages are there."""
    missing = [package for package in packages if find_spec(package) is None]
    if missing:
        raise RanvierError(
            f"{what} is not installed beside this command ({', '.join(missing)} is missing).",
            f"Install it: pip install 'ranvier-server[{extra}]'.",
        )
