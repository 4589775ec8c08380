from __future__ import annotations

import pytest

from addons.store.gateway_status import GatewayStatus


@pytest.mark.parametrize(
    ("state", "problems", "expected"),
    [
        ("serving", {}, True),
        ("serving", {"identity": "no keys of https://issuer.example"}, True),
        ("serving", {"identity": "no keys", "audit": "the disk is full"}, False),
        ("serving", {"policy": "none"}, False),
        ("starting", {}, False),
        ("draining", {"identity": "no keys"}, False),
    ],
)
def test_a_gateway_that_lacks_only_keys_serves(state: str, problems: dict[str, str], expected: bool) -> None:
    assert GatewayStatus(1, 0.0, "x", state, 0, "r", problems).lacks_only_keys is expected
