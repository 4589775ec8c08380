"""For the schemathesis of `test_api_schema`: half of the good ids are those of approvals that are there."""

from __future__ import annotations

import os
import random
from typing import Any

import schemathesis

_GOOD = 32


@schemathesis.hook
def map_path_parameters(_context: Any, parameters: dict[str, Any] | None) -> dict[str, Any] | None:
    known = os.environ["DDGATE_TEST_APPROVALS"].split(",")
    if parameters and len(str(parameters.get("approval_id"))) == _GOOD:
        given = str(parameters["approval_id"])
        parameters["approval_id"] = random.Random(given).choice([*known, *[given] * len(known)])  # noqa: S311 - a test's choice
    return parameters
