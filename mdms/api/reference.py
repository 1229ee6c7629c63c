"""The API's description: OpenAPI at /api/v1/openapi.json, and the same for people at /docs.

The page is made on the server: the usual renderers need inline scripts or styles, which no page here may have.
"""

from collections.abc import Iterator
from functools import cache
from typing import Any

import msgspec
from apiflask import APIFlask
from flask import Blueprint, Response, render_template
from flask.typing import ResponseReturnValue

from protocol.documents import Document
from protocol.reports import Batch, BatchAnswer
from protocol.standing import Standing

from ..problems import PROBLEM_JSON

DESCRIPTION = (
    "Signed reports in, released sums out. Concentrators send to /reports; everybody else reads, with a token "
    "(Authorization: Bearer hmt_...) or signed in to the pages. Energies are integers in milliwatt-hours, times UTC "
    "seconds. Every error is a problem (RFC 9457)."
)
PROBLEM = {
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"type": "string"},
        "title": {"type": "string"},
        "status": {"type": "integer"},
        "detail": {"type": "string"},
        "errors": {"type": "object", "description": "by place and name, what is wrong with a query"},
    },
}
BODIES = {"/api/v1/reports": (Batch, BatchAnswer), "/api/v1/standing": (Document, Standing)}
OPEN = (*BODIES, "/api/v1/openapi.json")
SETTINGS = {
    "OPENAPI_VERSION": "3.1.0",
    "VALIDATION_ERROR_STATUS_CODE": 400,
    "AUTO_VALIDATION_ERROR_RESPONSE": False,
    "AUTO_AUTH_ERROR_RESPONSE": False,
    "AUTO_404_RESPONSE": False,
    "AUTO_SERVERS": False,
    "SECURITY_SCHEMES": {"token": {"type": "http", "scheme": "bearer"}},
}


def describe(app: APIFlask) -> Blueprint:
    """Have an application describe itself; returns the blueprint of both addresses."""
    app.config.update(SETTINGS)
    app.title = "Hushmeter MDMS"
    app.version = "1"
    app.description = DESCRIPTION
    app.spec_processor(_complete)
    routes = Blueprint(
        "reference",
        __name__,
        static_folder="static",
        static_url_path="/docs/static",
        template_folder="templates",
    )

    @cache
    def description() -> dict[str, Any]:
        for blueprint in app.blueprints.values():
            # The framework asks this of every blueprint, and only its own kind has it: pages are not described.
            if not hasattr(blueprint, "enable_openapi"):
                blueprint.enable_openapi = False  # type: ignore[attr-defined]
        spec = app.spec
        assert isinstance(spec, dict), "JSON is what is asked for"
        return spec

    @routes.get("/api/v1/openapi.json")
    def openapi() -> Response:
        return Response(msgspec.json.encode(description()), mimetype="application/json")

    @routes.get("/docs")
    def docs() -> ResponseReturnValue:
        spec = description()
        return render_template("api/reference.html", info=spec["info"], operations=list(_operations(spec)))

    return routes


def _complete(spec: dict[str, Any] | str) -> dict[str, Any] | str:
    """Add what the framework does not know: the concentrators' bodies, problems, who needs a token."""
    assert isinstance(spec, dict), "JSON is what is asked for"
    schemas = spec.setdefault("components", {}).setdefault("schemas", {})
    schemas["Problem"] = PROBLEM
    kinds = [kind for pair in BODIES.values() for kind in pair]
    _, components = msgspec.json.schema_components(kinds, ref_template="#/components/schemas/{name}")
    schemas.update(components)
    for path, methods in spec["paths"].items():
        for operation in methods.values():
            failed = {"description": "a problem", "content": {PROBLEM_JSON: {"schema": _named("Problem")}}}
            operation.setdefault("responses", {})["default"] = failed
            if path in BODIES:
                asked, answered = BODIES[path]
                operation["requestBody"] = {"required": True, "content": _json(asked.__name__)}
                operation["responses"]["200"] = {"description": "an answer", "content": _json(answered.__name__)}
            if path not in OPEN:
                operation["security"] = [{"token": []}]
    return spec


def _named(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _json(name: str) -> dict[str, Any]:
    return {"application/json": {"schema": _named(name)}}


def _operations(spec: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield what the page shows of each operation, by address."""
    for path, methods in sorted(spec["paths"].items()):
        for method, operation in methods.items():
            yield {
                "id": operation.get("operationId") or f"{method}{path}".replace("/", "-"),
                "method": method.upper(),
                "path": path,
                "tag": ", ".join(operation.get("tags", [])),
                "summary": operation.get("summary", ""),
                "description": operation.get("description", ""),
                "needs_token": bool(operation.get("security")),
                "parameters": [_parameter(each) for each in operation.get("parameters", [])],
                "body": list(_members(spec, operation.get("requestBody", {}).get("content", {}))),
                "answer": list(_members(spec, operation["responses"].get("200", {}).get("content", {}))),
            }


def _parameter(parameter: dict[str, Any]) -> dict[str, Any]:
    schema = parameter.get("schema", {})
    return {
        "name": parameter["name"],
        "in": parameter["in"],
        "required": parameter.get("required", False),
        "type": _type(schema),
        "description": parameter.get("description") or schema.get("description", ""),
    }


def _members(spec: dict[str, Any], content: dict[str, Any]) -> Iterator[dict[str, str]]:
    """Yield the members of a body, those of the lists in it behind a dot."""
    for kind in content.values():
        yield from _of_schema(spec, kind.get("schema", {}), "", frozenset())


def _of_schema(
    spec: dict[str, Any], schema: dict[str, Any], before: str, seen: frozenset[str]
) -> Iterator[dict[str, str]]:
    reference = schema.get("$ref", "")
    if reference in seen:
        return
    found = spec["components"]["schemas"].get(reference.rpartition("/")[2], schema) if reference else schema
    for name, member in found.get("properties", {}).items():
        yield {"name": before + name, "type": _type(member), "description": member.get("description", "")}
        inner = member.get("items", member)
        if isinstance(inner, dict) and "$ref" in inner:
            yield from _of_schema(spec, inner, f"{before}{name}.", seen | {reference})


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return str(schema["$ref"]).rpartition("/")[2].rpartition(".")[2]
    if "anyOf" in schema:
        return " or ".join(_type(each) for each in schema["anyOf"])
    if "enum" in schema:
        return " or ".join(str(each) for each in schema["enum"])
    kind = str(schema.get("format") or schema.get("type", "anything"))
    return f"list of {_type(schema['items'])}" if kind == "array" and "items" in schema else kind
