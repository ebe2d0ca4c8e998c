"""The pages about the Python API, from signatures and docstrings of the package `ranvier`."""

import ast
import inspect
import re
import textwrap
from collections.abc import Iterator
from dataclasses import is_dataclass
from enum import Enum
from importlib import import_module
from itertools import zip_longest
from types import FunctionType, ModuleType
from typing import Any, Final

from docgen_tables import cell, table
from pydantic import BaseModel

CLIENT: Final = """\
# The Python client

`Ranvier` blocks, `AsyncRanvier` is for asyncio; both have the same methods with the same arguments,
so those of `axons` and the like stand here once. [sdk.md](../sdk.md) shows them at work.
"""
AGENTS: Final = """\
# Agents, workers, runs

What stands on an axon's events: [remote agents](../remote-agents.md), [workers](../workers.md),
[runs](../runs.md), and the pure views that they are made of.
"""
PAGES: Final = {
    "python-client.md": (
        CLIENT,
        {
            "ranvier": ("Ranvier", "AsyncRanvier"),
            "ranvier.client.aio": (),
            "ranvier.client.models": (),
            "ranvier.client.errors": (),
            "ranvier.events": (),
            "ranvier.verify": (),
        },
    ),
    "python-agents.md": (
        AGENTS,
        {
            "ranvier.remote": (),
            "ranvier.worker": (),
            "ranvier.runs": ("Runs", "RunHandle"),
            "ranvier.views": (),
            "ranvier.journal": (),
        },
    ),
}
"""By page: its opening, and its modules with the names to show; none means all public ones."""

HEAD: Final = "<!-- Written by hack/docgen.py from sdk/ranvier. Change it there. -->\n\n"
LEFT_OUT: Final = {"perform", "stream"}
"""Methods of the clients that are there for what is built on them."""
GIVEN: Final = {"RunHandle", "WorkerClient"}
"""Classes that users get and do not make; so are all of the client but the client itself."""
NEWLINE: Final = "\n"
QUALIFIED: Final = re.compile(r"\b(?:[a-z_][a-z0-9_]*\.)+(?=[A-Za-z])")
ENUM_VALUE: Final = re.compile(r"<(\w+\.\w+): [^>]*>")


def page(name: str) -> str:
    """A whole page."""
    opening, modules = PAGES[name]
    shown: set[int] = set()
    return (HEAD + opening) + "".join(
        _module(import_module(module), names, shown) for module, names in modules.items()
    )


def public_names(module: ModuleType) -> list[str]:
    """What a module offers: `__all__`, or what it defines itself."""
    if hasattr(module, "__all__"):
        return list(module.__all__)
    return [
        name
        for name, value in vars(module).items()
        if name.isidentifier()
        and not name.startswith("_")
        and (inspect.isclass(value) or inspect.isfunction(value))
        and value.__module__ == module.__name__
    ]


def _module(module: ModuleType, names: tuple[str, ...], shown: set[int]) -> str:
    first = inspect.cleandoc(module.__doc__ or "").split("\n\n")[0]
    parts = [f"\n## `{module.__name__}`\n\n{' '.join(first.split())}\n"]
    for name in names or public_names(module):
        value = getattr(module, name)
        if id(value) in shown:  # one module offers again what another one made
            continue
        shown.add(id(value))
        if inspect.isclass(value):
            parts.append(_class(name, value))
        elif isinstance(value, FunctionType):
            parts.append(f"\n### `{name}`\n\n`{_call(name, value)}`\n\n{_words(value)}\n")
        else:
            told = f"`{_constant(value)}`. {_told(module, name)}"
            parts.append(f"\n### `{name}`\n\n{told}\n")
    return "".join(parts)


def _class(name: str, kind: type) -> str:
    fields = list(_fields(kind))
    parts = [f"\n### class `{name}`\n"]
    if not fields and not issubclass(kind, Enum | Exception | BaseModel):
        parts.append(_constructor(name, kind))
    parts.append(f"\n{_based(kind)}{_words(kind)}\n")
    if fields:
        parts.append("\n" + table(_field_heads(kind), fields))
    parts += [
        f"\n#### `{called}`\n\n{f'`{how}`{NEWLINE * 2}' if how else ''}{words}\n"
        for called, how, words in _methods(kind)
        if words  # what has none is told by the protocol or the class that it belongs to
    ]
    return "".join(parts)


def _field_heads(kind: type) -> tuple[str, str, str, str]:
    return ("value" if issubclass(kind, Enum) else "field", "type", "default", "meaning")


def _constructor(name: str, kind: type) -> str:
    is_given = name in GIVEN or (name.startswith("Async") and name != "AsyncRanvier")
    begin = inspect.getattr_static(kind, "__init__")
    if is_given or not isinstance(begin, FunctionType) or getattr(kind, "_is_protocol", False):
        return ""
    return f"\n`{_call(name, begin).split(' -> ')[0]}`\n"


def _based(kind: type) -> str:
    bases = [f"`{base.__name__}`" for base in kind.__bases__ if _is_ours(base)]
    return f"Based on {', '.join(bases)}. " if bases else ""


def _is_ours(kind: type) -> bool:
    return kind.__module__.startswith("ranvier.") and not kind.__name__.startswith("_")


def _methods(kind: type) -> Iterator[tuple[str, str, str]]:
    """Name, call and words of what a user calls, in the order of the source."""
    for name, value in vars(kind).items():
        if name.startswith("_") or name in LEFT_OUT:
            continue
        if isinstance(value, property):
            yield name, "", _words(value)
        elif isinstance(value, FunctionType | staticmethod | classmethod):
            function = value if isinstance(value, FunctionType) else getattr(kind, name)
            yield name, f"{_awaited(function)}{_call(name, function)}", _words(function)
        elif (method := _made(kind, value)) is not None:
            how = re.sub(r"-> Call\[(.*)\]$", r"-> \1", _call(name, method))
            yield name, f"{_awaited(method)}{how}", _words(method)


def _made(kind: type, value: Any) -> Any:
    """The method that a class attribute makes of a call's description, as the client's do."""
    if not type(value).__module__.startswith("ranvier.client.") or not hasattr(value, "__get__"):
        return None
    owner: Any = object.__new__(kind)
    owner._client = None  # it is asked for its shape, never called
    return value.__get__(owner, kind)


def _awaited(function: Any) -> str:
    if inspect.iscoroutinefunction(function):
        return "await "
    return "async for … in " if inspect.isasyncgenfunction(function) else ""


class _Bare:
    """A word of a signature that is shown without quotes."""

    def __init__(self, text: str) -> None:
        self._text = text

    def __repr__(self) -> str:
        return self._text


def _call(name: str, function: Any) -> str:
    signature = inspect.signature(function)
    parameters = [
        p.replace(annotation=_unquoted(p.annotation))
        for p in signature.parameters.values()
        if p.name not in ("self", "cls")
    ]
    returned = _unquoted(signature.return_annotation)
    text = str(signature.replace(parameters=parameters, return_annotation=returned))
    return name + QUALIFIED.sub("", ENUM_VALUE.sub(r"\1", text)).replace("~", "")


def _unquoted(annotation: Any) -> Any:
    return _Bare(annotation) if isinstance(annotation, str) else annotation


def _fields(kind: type) -> Iterator[tuple[str, str, str, str]]:
    """Fields of a dataclass or model, values of an enum, with the words beneath each."""
    if not (is_dataclass(kind) or issubclass(kind, BaseModel | Enum)):
        return
    generic = getattr(kind, "__pydantic_generic_metadata__", {}).get("origin")
    body = _parsed(generic or kind).body[0]
    assert isinstance(body, ast.ClassDef)
    for statement, after in _with_next(body.body):
        match statement:
            case ast.AnnAssign(target=ast.Name(id=name)) if name[0] != "_":
                kind_of = cell(ast.unparse(statement.annotation))
                yield f"`{name}`", f"`{kind_of}`", _default(kind, name), cell(_string(after))
            case ast.Assign(targets=[ast.Name(id=name)]) if issubclass(kind, Enum):
                yield f"`{kind[name].value}`", "", "", cell(_string(after))


def _default(kind: type, name: str) -> str:
    """A default that can be written down; "" for none, and for what is made anew each time."""
    field = getattr(kind, "__dataclass_fields__", {}).get(name)
    model = getattr(kind, "__pydantic_fields__", {}).get(name)
    default = getattr(field or model, "default", None)
    return f"`{default!r}`" if isinstance(default, str | int | float) else ""


def _with_next(body: list[ast.stmt]) -> Iterator[tuple[ast.stmt, ast.stmt | None]]:
    return zip_longest(body, body[1:])


def _parsed(value: Any) -> ast.Module:
    return ast.parse(textwrap.dedent(inspect.getsource(value)))


def _string(statement: ast.stmt | None) -> str:
    if isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant):
        return str(statement.value.value)
    return ""


def _constant(value: Any) -> str:
    if isinstance(value, frozenset):
        return "{" + ", ".join(sorted(map(str, value))) + "}"
    return str(value)


def _told(module: ModuleType, name: str) -> str:
    """The words beneath a constant, where it is made."""
    for made_in in (module, *_imported(module)):
        for statement, after in _with_next(_parsed(made_in).body):
            targets = getattr(statement, "targets", [getattr(statement, "target", None)])
            if any(isinstance(t, ast.Name) and t.id == name for t in targets):
                return " ".join(_string(after).split())
    return ""


def _imported(module: ModuleType) -> Iterator[ModuleType]:
    for statement in _parsed(module).body:
        if isinstance(statement, ast.ImportFrom) and (statement.module or "").startswith("ranvier"):
            yield import_module(str(statement.module))


def _words(value: Any) -> str:
    """The docstring; pydantic and dataclasses write one of their own, which says nothing."""
    text = inspect.cleandoc(value.__doc__ or "") if value.__doc__ else ""
    return "" if text.startswith(f"{getattr(value, '__name__', '')}(") else text
