from __future__ import annotations

import io
from pathlib import Path

import pytest
from mitmproxy.io import FlowWriter
from mitmproxy.test import tflow

from addons.store.policy.files import read_catalogue
from addons.store.recordings.flows import StoredFlow
from addons.store.recordings.search import find_text
from tests.recorded_calls import CallMaker, MadeCall


def stored(made: MadeCall) -> StoredFlow:
    return StoredFlow(Path("x.mitm"), 0, CallMaker(read_catalogue()).serialised(made)[1])


CALL = MadeCall(
    "POST",
    "/api/v1/monitor?name=caf%C3%A9+bar",
    subject="bot",
    on_behalf_of="bob@example.com",
    body=b'{"message": "Disk is FULL \\u00fc\\u00ea", "x": "1"}',
    encoding="gzip",
    rule="on-call",
)


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("/API/v1/monitor", "request line"),
        ("café bar", "request line"),
        ("caf%c3%a9", "request line"),
        ("on-call", "what ddgate noted"),
        ("bob@example", "what ddgate noted"),
        ("content-encoding: gzip", "request head"),
        ("disk is full", "request body"),
        ("üê", "request body"),
        ("length: 2", "answer head"),
        (".*", None),
        ("nowhere in it", None),
    ],
)
def test_a_text_is_found_where_people_would_read_it(text: str, where: str | None) -> None:
    found = find_text(stored(CALL), text)
    assert (found.where if found else None) == where
    if found:
        assert text.casefold() in found.excerpt.casefold()


def test_a_body_that_is_not_what_its_head_says_is_looked_through_as_it_is() -> None:
    flow = tflow.tflow(resp=True)
    flow.request.raw_content = b"plain words"
    flow.request.headers["Content-Encoding"] = "gzip"
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    found = find_text(StoredFlow(Path("x.mitm"), 0, file.getvalue()), "plain words")
    assert found is not None
    assert found.where == "request body"


def test_the_excerpt_is_short_and_on_one_line() -> None:
    body = "x" * 500 + "\n needle \n" + "y" * 500
    found = find_text(stored(MadeCall("POST", "/api/v1/monitor", body=body.encode())), "needle")
    assert found is not None
    assert len(found.excerpt) < 120
    assert "\n" not in found.excerpt
