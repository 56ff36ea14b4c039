"""Answers whether PyIceberg can read a metadata document: one request a line on standard input, one answer a line on standard
output, both JSON. A request has `op`, `table` or `view`, and the document as the string `input`."""

from __future__ import annotations

import json
import sys

from pyiceberg.table.metadata import TableMetadataUtil
from pyiceberg.view.metadata import ViewMetadata


def answer(request: dict) -> dict:
    try:
        if request["op"] == "view":
            ViewMetadata.model_validate_json(request["input"])
        else:
            TableMetadataUtil.parse_raw(request["input"])
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}
    return {"ok": ""}


for line in sys.stdin:
    print(json.dumps(answer(json.loads(line))), flush=True)
