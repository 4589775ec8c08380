# mypy: ignore-errors
# ddtrace's decorators and contexts leave most of their types out.
"""Sends one span to LLM Observability, without an Agent: NAME."""

from __future__ import annotations

import sys

from ddtrace.llmobs import LLMObs

(NAME,) = sys.argv[1:]
LLMObs.enable(ml_app="shop", agentless_enabled=True)
with LLMObs.workflow(name=NAME) as span:
    LLMObs.annotate(span=span, input_data="which monitors fired?", output_data="none")
LLMObs.flush()
LLMObs.disable()
