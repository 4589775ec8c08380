from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from tests.control.desk import Desk
from tests.control.people_issuer import PeopleIssuer


@pytest.fixture
def issuer() -> Iterator[PeopleIssuer]:
    with PeopleIssuer() as running:
        yield running


@pytest.fixture
async def desk(tmp_path: Path, issuer: PeopleIssuer) -> AsyncIterator[Desk]:
    opened = Desk.open(tmp_path, issuer)
    yield opened
    await opened.close()
