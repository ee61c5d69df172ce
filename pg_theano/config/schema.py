"""The JSON schema of configs, for editors."""

from __future__ import annotations

import json
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.config.search_knobs import Search


def schema() -> dict[str, Any]:
    """Pydantic's schema of all knobs, and of `base` and `search`, which the config of a search has beside them."""
    whole, search = Config.model_json_schema(), Search.model_json_schema()
    whole["$defs"] |= search.pop("$defs", {})
    whole["$defs"]["Search"] = search
    whole["properties"]["base"] = {"type": "string", "description": "a search: the config that its knobs lie over"}
    whole["properties"]["search"] = {"$ref": "#/$defs/Search"}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **whole}


def text() -> str:
    return json.dumps(schema(), indent=1, ensure_ascii=False) + "\n"
