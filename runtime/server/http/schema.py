"""The OpenAPI document's parts, from the same structs that decode requests and encode answers. Used
by every API here and app.py."""

from __future__ import annotations

from typing import Any, Final

import msgspec
from starlette.responses import Response

from .errors import ErrorBody

_REFERENCE: Final = "#/components/schemas/{name}"
_REASONS: Final = {
    400: "The request is wrong; `param` names the field",
    404: "No such model",
    408: "No result in time",
    413: "The body is too large",
    415: "The body is not JSON",
    429: "Too many requests wait; see Retry-After",
    503: "The runtime is not ready; see Retry-After",
}
GENERATION_ERRORS: Final = tuple(_REASONS)
BODY_ERRORS: Final = (400, 413, 415, 503)
# OpenAPI 3.1 has no word for a stream's items; tools take `schema` for one event's.
_EVENT: Final = {
    "type": "object",
    "properties": {"event": {"type": "string"}, "data": {"type": "string"}},
    "required": ["data"],
}


def json_response(value: object) -> Response:
    """An answer with a struct, or whatever msgspec can encode, as JSON."""
    return Response(msgspec.json.encode(value), media_type="application/json")


def describe(
    answer: type[msgspec.Struct] | type[dict[str, Any]] | None,
    *,
    body: type[msgspec.Struct] | None = None,
    many: bool = False,
    stream: bool = False,
    media_type: str = "application/json",
    stream_type: str = "text/event-stream",
    error: type[msgspec.Struct] = ErrorBody,
    errors: tuple[int, ...] = GENERATION_ERRORS,
) -> dict[str, Any]:
    """Keyword arguments for a route: what it takes and what it answers. An answer of None is
    text, a dict any object; `many` is said by routes that answer several prompts with a list."""
    schema = _ref(answer)
    if many:
        schema = {"anyOf": [schema, {"type": "array", "items": schema}]}
    content: dict[str, Any] = {media_type: {"schema": schema}}
    if stream:
        is_sse = stream_type == "text/event-stream"
        content[stream_type] = {"schema": _EVENT if is_sse else {"type": "string"}}
    failure = {"application/json": {"schema": _ref(error)}}
    responses: dict[int, dict[str, Any]] = {200: {"description": "OK", "content": content}}
    for status in errors:
        responses[status] = {"description": _REASONS[status], "content": failure}
    route: dict[str, Any] = {"responses": responses, "response_class": Response}
    if body is not None:
        route["openapi_extra"] = {
            "requestBody": {
                "required": True,
                "content": {"application/json": {"schema": _ref(body)}},
            }
        }
    return route


def components(types: list[type[msgspec.Struct]]) -> dict[str, Any]:
    """The schemas that routes refer to, by name."""
    _, schemas = msgspec.json.schema_components(types, ref_template=_REFERENCE)
    return schemas


def _ref(struct: type[msgspec.Struct] | type[dict[str, Any]] | None) -> dict[str, Any]:
    if struct is None:
        return {"type": "string"}
    if issubclass(struct, dict):
        return {"type": "object"}
    return {"$ref": _REFERENCE.format(name=struct.__name__)}
