"""The API's documentation as one plain page; unlike the usual viewers it needs no internet access."""

from __future__ import annotations

from html import escape
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, RedirectResponse

from service.web.openapi import NOT_GIVEN

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 860px; margin: 2rem auto; padding: 0 1rem; color: #1f2937; }
h2 { font: 600 1.05rem ui-monospace, monospace; margin: 2rem 0 .3rem; overflow-wrap: anywhere; }
h2 span { background: #4f46e5; color: #fff; border-radius: 4px; padding: .1rem .45rem; margin-right: .5rem; }
table { border-collapse: collapse; width: 100%; } td { border-top: 1px solid #e5e7eb; padding: .35rem .6rem .35rem 0;
vertical-align: top; } pre { background: #f3f4f6; padding: .8rem; overflow: auto; border-radius: 6px; }
"""
_EXAMPLE = """curl -s localhost:7860/v1/audio/speech -H 'Content-Type: application/json' \\
  -d '{"input": "Good morning."}' -o hello.mp3"""


def docs_routes(app: FastAPI) -> APIRouter:
    """Return GET /docs, rendered from the application's own OpenAPI description, and its old name /__docs__."""
    router = APIRouter(include_in_schema=False)

    @router.get("/docs")
    async def docs() -> HTMLResponse:
        return HTMLResponse(render(app.openapi()))

    @router.get("/__docs__")
    async def old_name() -> RedirectResponse:
        return RedirectResponse("/docs")

    return router


def render(description: dict[str, Any]) -> str:
    """Render an OpenAPI description as HTML."""
    title = escape(description["info"]["title"])
    parts = [
        f"<!doctype html><html lang=en><meta charset=utf-8><title>{title}: API</title>"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<style>{_STYLE}</style><h1>{title}: API</h1>"
        f"<p>Release {escape(description['info']['version'])}. <a href='/openapi.json'>OpenAPI description</a>, "
        f"<a href='/'>web page</a>.</p><pre>{escape(_EXAMPLE)}</pre>"
    ]
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parts.append(f"<h2><span>{method.upper()}</span>{escape(path)}</h2>")
            parts.append(f"<p>{escape(operation.get('description', ''))}</p>")
            parts.append(_fields(operation))
    return "".join(parts)


def _fields(operation: dict[str, Any]) -> str:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
    schema = content.get("schema", {})
    rows = [
        f"<tr><td><code>{escape(name)}</code><td>{escape(_allowed(field, name in schema.get('required', ())))}"
        f"<td>{escape(field.get('description', ''))}"
        for name, field in schema.get("properties", {}).items()
    ] + [
        f"<tr><td><code>{escape(value['name'])}</code>"
        f"<td>{escape(_allowed(value['schema'], False))}, in the {escape(value['in'])}"
        f"<td>{escape(value.get('description', ''))}"
        for value in operation.get("parameters", ())
    ]
    return f"<table>{''.join(rows)}</table>" if rows else ""


def _allowed(field: dict[str, Any], required: bool) -> str:
    """Summarize the allowed values of a field."""
    kinds = [kind for kind in field.get("anyOf", [field]) if kind != NOT_GIVEN and kind.get("type") != "null"]
    if not kinds:
        return "not supported by this engine"
    kind = kinds[0]
    values = kind.get("enum") or ([kind["const"]] if "const" in kind else None)
    text = " | ".join(map(str, values)) if values else str(kind.get("type", ""))
    if "minimum" in kind:
        text += f", {kind['minimum']:g} to {kind['maximum']:g}"
    return text + (", required" if required else "")
