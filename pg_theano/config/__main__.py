"""The JSON schema of configs, for editors: `python -m pg_theano.config --schema > configs/schema.json`."""

import argparse
import json
import sys
from collections.abc import Sequence
from typing import Any

from pg_theano.config.knobs import Config
from pg_theano.config.search_knobs import Search
from pg_theano.system import commands


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


def main(argv: Sequence[str] | None = None) -> int:
    parser = commands.parser("config", __doc__, "python -m pg_theano.config --schema > configs/schema.json")
    parser.add_argument("--schema", action="store_true", help="the schema, which is all that there is to print")
    return commands.run(parser, _schema, argv)


def _schema(arguments: argparse.Namespace) -> int:
    print(text(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
