"""What must not grow, expire or go stale while the sandbox runs."""

from __future__ import annotations

import datetime as dt
import json
from pathlib import Path

import pytest
from cryptography import x509

from addons.sandbox import datadog_journal, datadog_tls
from addons.sandbox.datadog_journal import Journal
from addons.sandbox.issuer_clients import Clients
from addons.sandbox.server import Answer, Request, json_answer


def request(body: bytes = b"") -> Request:
    return Request(1, "POST", "/", "", (), body)


def numbers(journal: Journal) -> list[int]:
    entries = json.loads(json_answer(journal.as_json()).body)
    return [entry["n"] for entry in entries]


def test_journal_keeps_the_newest_entries_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datadog_journal, "MAX_ENTRIES", 3)
    journal = Journal()
    for _ in range(5):
        journal.received(request())
    assert numbers(journal) == [3, 4, 5]


def test_journal_is_bounded_in_octets_of_requests_and_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(datadog_journal, "MAX_OCTETS", 100)
    journal = Journal()
    entries = [journal.received(request(b"x" * 40)) for _ in range(3)]
    assert numbers(journal) == [2, 3]
    journal.answered(entries[0], Answer(body=b"x" * 1000))  # gone already: its answer counts for nothing
    assert numbers(journal) == [2, 3]
    journal.answered(entries[1], Answer(body=b"x" * 30))
    assert numbers(journal) == [3]
    journal.clear()
    journal.received(request(b"x" * 60))
    journal.answered(entries[2], Answer(body=b"x" * 60))
    assert numbers(journal) == [4]


def leaf_of(directory: Path) -> x509.Certificate:
    datadog_tls.server_context(directory)
    return x509.load_pem_x509_certificate((directory / "sandbox-leaf.pem").read_bytes())


def test_leaf_is_renewed_near_its_end_and_not_before(tmp_path: Path) -> None:
    first = leaf_of(tmp_path)
    assert leaf_of(tmp_path) == first
    ca = datadog_tls._read(tmp_path / "sandbox-ca.pem", tmp_path / "sandbox-ca.key")
    assert ca is not None
    old = datadog_tls._make_leaf(ca, dt.datetime.now(dt.UTC) - dt.timedelta(days=340))
    (tmp_path / "sandbox-leaf.pem").write_bytes(datadog_tls._certificate_pem(old))
    (tmp_path / "sandbox-leaf.key").write_bytes(datadog_tls._key_pem(old))
    renewed = leaf_of(tmp_path)
    assert renewed.not_valid_after_utc > dt.datetime.now(dt.UTC) + dt.timedelta(days=300)
    assert (tmp_path / "sandbox-ca.pem").read_bytes() == datadog_tls._certificate_pem(ca)


def test_another_ca_gets_another_leaf(tmp_path: Path) -> None:
    first = leaf_of(tmp_path)
    (tmp_path / "sandbox-ca.pem").unlink()
    assert leaf_of(tmp_path) != first


def test_an_edit_of_the_clients_acts_at_once(tmp_path: Path) -> None:
    clients = Clients(tmp_path)
    clients.make_if_absent()
    assert clients.find("dave") is None
    (tmp_path / "clients.json").write_text('{"dave": {"client_secret": "s", "groups": ["x"]}}')
    found = clients.authenticated("dave", "s")
    assert found is not None
    assert found.groups == ("x",)
    assert clients.authenticated("dave", "t") is None
