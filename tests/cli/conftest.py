from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cli.approvals_desk import Desk, open_desk


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """One control process for the tests of a file; each asks for approvals of its own."""
    with open_desk(tmp_path_factory.mktemp("desk")) as opened:
        yield opened
