"""Recorded calls read whole, from ddgate and from stock mitmproxy, good and hostile."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mitmproxy import http
from mitmproxy.io import FlowWriter, tnetstring
from mitmproxy.test import tflow

from addons.core.catalogue import Catalogue
from addons.core.model import Reason
from addons.replaying.exchange import Exchange, exchange_of
from addons.replaying.load_recording import Exchanges
from addons.store.policy.files import read_catalogue
from addons.store.recordings.flows import NOT_A_FLOW, Recordings, StoredFlow, find_recordings
from tests.recorded_calls import MadeCall, write_recording


@pytest.fixture(scope="module")
def catalogue() -> Catalogue:
    return read_catalogue()


def read(directory: Path) -> list[Exchange]:
    exchanges = Exchanges(Recordings(find_recordings([directory])))
    found = list(exchanges.read())
    assert not exchanges.damage
    return found


def stored(flow: http.HTTPFlow) -> StoredFlow:
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    return StoredFlow(Path("x.mitm"), 0, file.getvalue())


def test_a_recorded_call_is_read_with_its_answer(tmp_path: Path, catalogue: Catalogue) -> None:
    made = MadeCall("PUT", "/api/v1/monitor/1?a=1", body=b'{"n": 1}', at=1000.5, status=202, subject="sre")
    (call,) = write_recording(tmp_path, [made], catalogue)
    (found,) = read(tmp_path)
    assert (found.call, found.at, found.method, found.target) == (call, 1000.5, "PUT", made.path)
    assert (found.host, found.body, found.refused, found.who) == (made.host, made.body, "", "sre")
    assert found.operation == "UpdateMonitor"
    assert found.answer is not None
    assert (found.answer.status, found.answer.body) == (202, b"{}")


def test_what_was_not_stored_and_what_was_refused_is_told(tmp_path: Path, catalogue: Catalogue) -> None:
    write_recording(
        tmp_path,
        [
            MadeCall("POST", "/api/v2/logs", body=b"x" * 40, stored=False),
            MadeCall(
                "POST", "/api/v2/api_keys", body=b"{}", refused=Reason.DENIED_BY_RULE, reason=Reason.ALLOWED
            ),
        ],
        catalogue,
    )
    unstored, refused = read(tmp_path)
    assert unstored.body is None
    assert unstored.unstored.startswith("[ddgate: 40 bytes, ")
    assert refused.refused


def test_stock_mitmproxys_calls_are_read_by_the_name_that_they_asked_for() -> None:
    flow = tflow.tflow(resp=True)
    flow.request = http.Request.make("GET", "https://203.0.113.9/api/v1/monitor")
    flow.request.headers["Host"] = "api.datadoghq.com"
    found = exchange_of(stored(flow))
    assert found is not None
    assert (found.host, found.by_ddgate, found.call) == ("api.datadoghq.com", False, flow.id)


def test_tunnels_and_what_is_no_http_are_passed_over() -> None:
    flow = tflow.tflow()
    flow.request.method = "CONNECT"
    assert exchange_of(stored(flow)) is None
    file = io.BytesIO()
    FlowWriter(file).add(tflow.ttcpflow())
    assert exchange_of(StoredFlow(Path("x.mitm"), 0, file.getvalue())) is None


@pytest.mark.parametrize("claimed", ["a\r\nX: y", "x" * 65, "", "ä", 7, None])
def test_an_id_that_is_none_is_not_taken_over(claimed: object) -> None:
    flow = tflow.tflow(resp=True)
    flow.metadata["ddgate.call"] = claimed
    found = exchange_of(stored(flow))
    assert found is not None
    assert (found.call, found.by_ddgate) == (flow.id, False)


@pytest.mark.parametrize("at", [float("nan"), -1.0, 1e300, "noon", None])
def test_a_call_of_no_time_is_no_flow(at: object) -> None:
    flow = tflow.tflow(resp=True)
    flow.request.timestamp_start = at  # type: ignore[assignment]
    with pytest.raises(NOT_A_FLOW):
        exchange_of(stored(flow))


HOSTILE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.binary(max_size=20) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)


@given(st.data())
def test_a_hostile_flow_is_no_flow_or_a_call(data: st.DataObject) -> None:
    state = tflow.tflow(resp=True).get_state()
    part = data.draw(st.sampled_from([state, state["request"], state["response"], state["metadata"]]))
    name = data.draw(st.sampled_from(sorted([*part, "ddgate.call", "ddgate.refused"])))
    part[name] = data.draw(HOSTILE)
    try:
        found = exchange_of(StoredFlow(Path("x.mitm"), 0, tnetstring.dumps(state)))
    except NOT_A_FLOW:
        return
    assert found is None or isinstance(found, Exchange)
