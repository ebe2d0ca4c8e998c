"""`python -m ranvier.cli` is the `ranvier` command."""

from ranvier.cli import main

main()
