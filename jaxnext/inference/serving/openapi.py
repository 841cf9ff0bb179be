"""The server's description in the form of OpenAPI 3.1."""

from collections.abc import Sequence
from typing import Any

from jaxnext.inference.serving.upload import FIELD
from jaxnext.version import __version__

REFUSALS = {
    "403": "asked by the page of another server",
    "408": "the body has not arrived in time",
    "413": "too many bytes, images or pixels",
    "415": "a content type that is neither a form nor an image",
    "421": "a host that is none of the server's",
    "422": "no image could be read, or a parameter that is none",
    "429": "too many requests from one address; Retry-After says when to come again",
    "503": "the server is full, or about to stop; Retry-After says when to come again",
}
"""What the statuses of refused requests mean."""


def openapi(title: str, classes: int, default_top_k: int, methods: Sequence[str]) -> dict[str, Any]:
    """Return the description.

    Args:
        title: name of what is served.
        classes: how many it has.
        default_top_k: classes in an answer where a request says nothing.
        methods: by which it shows where it looks.
    """
    parameters: list[dict[str, Any]] = [
        {
            "name": "top_k",
            "in": "query",
            "description": "classes in the answer, the likeliest first",
            "schema": {"type": "integer", "minimum": 1, "maximum": classes, "default": default_top_k},
        }
    ]
    if methods:
        parameters.append(
            {
                "name": "explain",
                "in": "query",
                "description": "also a picture of where the net looks",
                "schema": {"type": "string", "enum": list(methods)},
            }
        )
    refusals = {
        status: {"description": text, "content": _json("Error" if status != "422" else "Unreadable")}
        for status, text in REFUSALS.items()
    }
    binary = {"type": "string", "format": "binary"}
    form = {"type": "object", "required": [FIELD], "properties": {FIELD: {"type": "array", "items": binary}}}
    predict = {
        "operationId": "predict",
        "summary": "Classify one or several images",
        "parameters": parameters,
        "requestBody": {
            "required": True,
            "content": {"multipart/form-data": {"schema": form}, "image/*": {"schema": binary}},
        },
        "responses": {
            "200": {"description": "one result an image, in their order", "content": _json("Results")},
            **refusals,
        },
    }
    health = {
        "operationId": "health",
        "summary": "Whether it answers requests",
        "responses": {
            "200": {"description": "it does", "content": _json("Health")},
            "503": {"description": "it is not ready yet, or stopping", "content": _json("Health")},
        },
    }
    plain = {"text/plain": {"schema": {"type": "string"}}}
    metrics = {
        "operationId": "metrics",
        "summary": "Counters in Prometheus' text format",
        "responses": {"200": {"description": "the counters", "content": plain}},
    }
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": __version__},
        "paths": {"/predict": {"post": predict}, "/healthz": {"get": health}, "/metrics": {"get": metrics}},
        "components": {"schemas": _schemas()},
    }


def _json(schema: str) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": f"#/components/schemas/{schema}"}}}


def _schemas() -> dict[str, Any]:
    text, number = {"type": "string"}, {"type": "number", "minimum": 0, "maximum": 1}
    likely = _object({"label": text, "probability": number})
    explanation = _object({"method": text, "label": text, "image": {"type": "string", "format": "uri"}})
    prediction = _object(
        {
            "name": text,
            "known": {"type": "boolean"},
            "label": {"type": "string", "description": "unknown, where the likeliest class is below the threshold"},
            "top": {"type": "array", "items": likely},
        },
        explanation=explanation,
    )
    failure = _object({"name": text, "error": text, "status": {"type": "integer"}})
    results = {"type": "array", "items": {"anyOf": [prediction, failure]}}
    return {
        "Results": _object({"results": results}),
        "Error": _object({"error": text}),
        "Unreadable": _object({"error": text}, results=results),
        "Health": _object({"status": {"type": "string", "enum": ["ok", "warming", "stopping"]}}),
    }


def _object(required: dict[str, Any], **optional: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(required), "properties": required | optional}
