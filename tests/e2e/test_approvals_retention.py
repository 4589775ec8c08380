from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

from tests.e2e.approving import create_monitor, kinds, running, settings
from tests.e2e.gateway_process import Gateway, curl, wait_until
from tests.e2e.raw_upstream import KEYS, RawUpstream
from tests.sandbox_processes import Issuer


def test_approvals_that_are_over_for_long_go_and_their_records_stay(tmp_path: Path, issuer: Issuer) -> None:
    with RawUpstream(tmp_path / "upstream") as upstream:
        (tmp_path / "gateway").mkdir()
        config = settings(tmp_path / "gateway", issuer, retention="1d")
        gateway = Gateway(tmp_path / "gateway", issuer.url, upstream.port, upstream.ca, KEYS, config=config)
        token = issuer.token("demo-agent")
        gateway.start()
        with running(gateway, issuer) as control:
            answers = [
                curl(gateway, "-H", "Prefer: wait=0", *create_monitor(name), token=token).json()
                for name in ("old", "new")
            ]
            asked = [str(answer["ddgate"]["approval"]) for answer in answers]
            for approval in asked:
                assert control.decide(approval, "deny").status_code == 200
        assert gateway.stop() == 0
        with contextlib.closing(sqlite3.connect(gateway.state / "audit.sqlite3")) as connection, connection:
            connection.execute(
                "UPDATE approvals SET requested_at = requested_at - 172800, "
                "pending_until = pending_until - 172800 WHERE id = ?",
                (asked[0],),
            )
        gateway.start()
        try:
            wait_until(lambda: gateway.records_of("approvals_removed"), what="the removal")
            with running(gateway, issuer) as control:
                assert [each["id"] for each in control.listed()] == asked[1:]
        finally:
            gateway.stop()
        assert "approval_denied" in kinds(gateway, asked[0])
