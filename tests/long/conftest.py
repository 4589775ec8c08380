"""The end-to-end tests' issuer, stand-in and gateways."""

from __future__ import annotations

from tests.e2e.conftest import datadog, issuer, make_gateway

__all__ = ["datadog", "issuer", "make_gateway"]
