"""The OpenAPI document, `openapi.json` beside this file: written by hand, and not needed to serve a request.

Tests compare it with the routes (each route is there, and nothing else is) and with the limits that the code enforces.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

Json = dict[str, Any]


def document() -> Json:
    """Return the OpenAPI document of everything that the server answers."""
    text = files("counterfoil.server").joinpath("openapi.json").read_bytes()
    described: Json = json.loads(text)
    return described


def resolved(described: Json, part: Json) -> Json:
    """Return a part of the document, or the component that it refers to."""
    if "$ref" not in part:
        return part
    _, _, section, name = part["$ref"].split("/")
    component: Json = described["components"][section][name]
    return component
