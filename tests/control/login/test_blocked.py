"""Who is frozen, or whose proof is revoked, decides nothing at control either."""

from __future__ import annotations

import sqlite3

from addons.core.blocklist import Block, BlockKind, Named
from addons.store.audit.record import new_id
from addons.store.blocking.blocks import LiftBlocks, PutBlock, StoredBlock
from tests.control.desk import Desk

FREEZE, REVOCATION = BlockKind.FREEZE, BlockKind.REVOCATION


async def put(desk: Desk, kind: BlockKind, named: Named, name: str) -> None:
    begun = desk.clock.now()
    block = Block(new_id(), kind, named, name, None, "lost a laptop", "ops", begun.wall)
    await desk.control.parts.journal.change(PutBlock(StoredBlock(block, begun, None), {}))


async def test_who_is_frozen_decides_nothing_by_token_or_by_login(desk: Desk) -> None:
    approval = await desk.ask()
    token = desk.issuer.token("alice", "sre")
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    await put(desk, FREEZE, Named.SUBJECT, "alice")
    by_token = await desk.decide(approval, "approve", token)
    by_login = await browser.post(
        f"/api/v1/approvals/{approval.id}/approve", json={}, headers=desk.own_headers(browser)
    )
    page = await browser.get("/approvals")
    for answer in (by_token, by_login):
        assert (answer.status_code, answer.json()["reason"]) == (403, "identity_frozen")
    assert page.status_code == 403
    assert (await desk.decide(approval, "approve", desk.issuer.token("bob", "sre"))).status_code == 200
    lift = LiftBlocks(FREEZE, Named.SUBJECT, "alice", None, "", {}, desk.clock.now().wall)
    await desk.control.parts.journal.change(lift)
    assert (await browser.get("/approvals")).status_code == 200
    await browser.aclose()


async def test_a_revoked_person_logs_in_anew(desk: Desk) -> None:
    approval = await desk.ask()
    browser = desk.browser()
    await desk.log_in(browser, "alice", "sre")
    token = desk.issuer.token("alice", "sre")
    await put(desk, REVOCATION, Named.SUBJECT, "alice")
    refused = await desk.decide(approval, "approve", token)
    assert (refused.status_code, refused.json()["reason"]) == (401, "token_revoked")
    sent_away = await browser.get("/approvals")
    assert (sent_away.status_code, "/login" in sent_away.headers["location"]) == (303, True)
    desk.clock.offset += 60  # by more than clocks may differ
    await desk.log_in(browser, "alice", "sre")
    assert (await browser.get("/approvals")).status_code == 200
    await browser.aclose()


async def test_a_freeze_of_everyone_is_of_agents(desk: Desk) -> None:
    approval = await desk.ask()
    await put(desk, FREEZE, Named.EVERYONE, "")
    assert (await desk.decide(approval, "deny", desk.issuer.token("alice", "sre"))).status_code == 200


async def test_while_nobody_can_tell_nobody_decides(desk: Desk) -> None:
    approval = await desk.ask()
    connection = sqlite3.connect(desk.control.parts.state.audit_log)
    connection.execute("ALTER TABLE blocks RENAME TO hidden")
    connection.close()
    answer = await desk.decide(approval, "approve", desk.issuer.token("alice", "sre"))
    assert answer.status_code == 503
