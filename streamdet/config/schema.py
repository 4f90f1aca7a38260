"""The configuration's JSON Schema, for editors: `python -m streamdet.config.schema`."""

from __future__ import annotations

import json
import sys

from streamdet.config.models import RunOptions


def config_schema() -> str:
    """The text of docs/schemas/config.schema.json."""
    schema = RunOptions.model_json_schema()
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "streamdet configuration"}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(config_schema())
