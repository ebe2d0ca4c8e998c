"""The OpenAPI document, made from the routes themselves. Pure but for looking at the application.

What the framework would make is not true for bodies that are read within a limit, nor for the hot
routes that pass it by; so this reads paths, models and callers from where they are declared, and
what a signature does not tell from `described.py`.
"""

import inspect
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, get_type_hints

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from ranvier_apiserver.routes import context
from ranvier_apiserver.routes.described import Model, Operation, Parameter, operation_of
from ranvier_apiserver.routes.wire import ProblemView

VERSION: Final = "v1"
BEARER: Final = "bearer"


@dataclass(frozen=True, slots=True)
class Described:
    """One method of one path, whoever serves it."""

    method: str
    path: str
    name: str
    """Unique, and stable: generators name functions by it."""
    words: str
    operation: Operation
    path_types: Mapping[str, str]
    needs_key: bool = True


def from_routes(routes: Iterable[Any]) -> Iterator[Described]:
    """What the framework's routes say."""
    for route in routes:
        if not isinstance(route, APIRoute) or not route.include_in_schema:
            continue
        calls = set(_calls(route.dependant))
        said = operation_of(route.endpoint)
        bodies = [call.model for call in calls if isinstance(call, context.BodyReader)]
        types = {f.name: f.field_info.annotation for f in route.dependant.path_params}
        for method in sorted(route.methods or ()):
            yield Described(
                method,
                route.path,
                f"{route.endpoint.__module__.rpartition('.')[2]}.{route.name}",
                inspect.getdoc(route.endpoint) or route.name.replace("_", " ").capitalize(),
                Operation(
                    said.answers or _returned(route.endpoint),
                    said.bodies or bodies,
                    said.parameters,
                    said.media_type,
                    said.body_media_type,
                    said.refusals,
                ),
                {name: "integer" if kind is int else "string" for name, kind in types.items()},
                context.principal_of in calls,
            )


def document(operations: Sequence[Described]) -> dict[str, Any]:
    models: set[Model] = {ProblemView}
    for each in operations:
        models.update((*each.operation.answers, *each.operation.bodies))
        models.update(refusal.model or ProblemView for refusal in each.operation.refusals.values())
    ordered = sorted(models, key=lambda model: (model.__name__, model.__module__))
    names, schemas = models_json_schema(
        [(model, "validation") for model in ordered],
        ref_template="#/components/schemas/{model}",
    )
    refs = {model: names[model, "validation"] for model in ordered}
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        paths.setdefault(each.path, {})[each.method.lower()] = _operation(each, refs)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Ranvier",
            "version": VERSION,
            "description": "Runloop's axon API over a durable journal, and what is added to it.",
        },
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {BEARER: {"type": "http", "scheme": "bearer"}},
        },
        "security": [{BEARER: []}],
    }


def _operation(each: Described, refs: Mapping[Model, Any]) -> dict[str, Any]:
    said = each.operation
    summary, _, description = each.words.partition("\n")
    unsaid = {"type": "object" if said.media_type == "application/json" else "string"}
    answer = _one_of(said.answers, refs) if said.answers else unsaid
    made: dict[str, Any] = {
        "operationId": each.name,
        "summary": summary,
        "description": description.strip(),
        "parameters": [
            *(
                {"name": name, "in": "path", "required": True, "schema": {"type": kind}}
                for name, kind in each.path_types.items()
            ),
            *map(_parameter, said.parameters),
        ],
        "responses": {
            "200": {"description": "Done", "content": {said.media_type: {"schema": answer}}},
            **{
                str(status): {
                    "description": r.words,
                    "content": _json(refs[r.model or ProblemView]),
                }
                for status, r in said.refusals.items()
            },
            "default": {
                "description": "Refused; `code` says why",
                "content": _json(refs[ProblemView]),
            },
        },
    }
    if said.bodies:
        content = {said.body_media_type: {"schema": _one_of(said.bodies, refs)}}
        made["requestBody"] = {"content": content, "required": not _may_be_empty(said.bodies)}
    if not each.needs_key:
        made["security"] = []
    return made


def _json(schema: Any) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}


def _parameter(parameter: Parameter) -> dict[str, Any]:
    made: dict[str, Any] = {
        "name": parameter.name,
        "in": parameter.where,
        "required": False,
        "description": parameter.description,
        "schema": dict(parameter.schema),
    }
    if parameter.schema.get("type") == "object":
        made |= {"style": "deepObject", "explode": True}
    return made


def _one_of(models: Sequence[Model], refs: Mapping[Model, Any]) -> Any:
    schemas = [refs[model] for model in models]
    return schemas[0] if len(schemas) == 1 else {"oneOf": schemas}


def _may_be_empty(models: Sequence[Model]) -> bool:
    """An empty body is read as `{}`, which clients send where every field may be left out."""
    return all(not field.is_required() for m in models for field in m.model_fields.values())


def _calls(dependant: Dependant) -> Iterator[Any]:
    yield dependant.call
    for inner in dependant.dependencies:
        yield from _calls(inner)


def _returned(endpoint: Any) -> Sequence[Model]:
    returned = get_type_hints(endpoint).get("return")
    if inspect.isclass(returned) and issubclass(returned, BaseModel):
        return [returned]
    return []
