"""What machines ask: is control alive, is it ready, how do things stand."""

from __future__ import annotations

import time
from pathlib import Path

from addons.store.gateway_status import GatewayStatus, write_status
from tests.control.desk import Desk
from tests.control.people_issuer import PeopleIssuer


async def test_it_is_alive_and_says_that_there_is_no_gateway(desk: Desk) -> None:
    assert (await desk.client.get("/healthz")).json() == {"status": "alive"}
    answer = await desk.client.get("/readyz")
    assert (answer.status_code, answer.json()["gateways"]) == (503, [])
    assert answer.json()["control"]["ready"]


async def test_control_itself_isnt_ready_while_it_cant_write(desk: Desk) -> None:
    serving = GatewayStatus(1, time.time(), "127.0.0.1:8080", "serving", 0, "r1", {})
    write_status(desk.control.parts.state.path, serving)
    assert (await desk.client.get("/readyz")).status_code == 200
    desk.control.parts.journal.close()
    found = await desk.client.get("/readyz")
    answer = found.json()
    assert (found.status_code, answer["ready"]) == (503, False)
    assert answer["gateways"][0]["ready"]
    assert not answer["control"]["ready"]
    assert "journal is closed" in answer["control"]["problems"]["audit"]


async def test_a_login_that_cant_work_is_a_warning(tmp_path: Path, issuer: PeopleIssuer, desk: Desk) -> None:
    unfetched = (await desk.client.get("/readyz")).json()["control"]["warnings"]
    assert issuer.url in unfetched["login"][0]
    await desk.log_in(desk.browser(), "alice")
    assert (await desk.client.get("/readyz")).json()["control"]["warnings"] == {}
    (tmp_path / "none").mkdir()
    without = Desk.open(tmp_path / "none", issuer, login=None)
    told = (await without.client.get("/readyz")).json()["control"]
    assert "control.login" in told["warnings"]["login"][0]
    assert told["ready"]
    await without.close()


async def test_figures_of_approvals_and_gateways_need_no_login(desk: Desk) -> None:
    await desk.ask()
    answer = await desk.client.get("/metrics")
    assert 'ddgate_approvals{state="pending"} 1.0' in answer.text
    desk.damage_everything()
    answer = await desk.client.get("/metrics")
    assert (answer.status_code, "ddgate_approvals{" in answer.text) == (200, False)
