"""What `ddgate redact scan` says of recordings that were made to harm whoever reads them."""

from __future__ import annotations

import io
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mitmproxy.io import FlowWriter, tnetstring
from mitmproxy.test import tflow
from typer.testing import CliRunner

from addons.cli.redact.command import app

PASSWORD = "Tr0ub4dor-Zebra"
STRANGE = "\x1b[31m\n"
WRONG: tuple[Callable[[dict[str, Any]], None], ...] = (
    lambda state: state.update(metadata=5),
    lambda state: state.update(error={"msg": 5, "timestamp": 0.0}),
    lambda state: state["request"].update(headers=[["a"]]),
    lambda state: state["request"].update(headers=((b"content-encoding", b"\xff"),), content=b"\x1f\x8b"),
    lambda state: state["response"].update(reason=5),
)


def recording() -> bytes:
    """A flow with secrets under strange names, then flows that are none, then one that never ends."""
    flow = tflow.tflow(resp=True)
    flow.metadata = {"ddgate.call": STRANGE, f"no{STRANGE}te": f"password={PASSWORD}"}
    flow.request.headers["x.\x1b[31m.password"] = PASSWORD
    file = io.BytesIO()
    FlowWriter(file).add(flow)
    for change in WRONG:
        state = tflow.tflow(resp=True).get_state()
        change(state)
        file.write(tnetstring.dumps(state))
    deep = b"0:]"
    for _ in range(3000):
        deep = b"%d:%s]" % (len(deep), deep)
    return file.getvalue() + b"%d:%s}999999999999:x" % (len(deep), deep)


def test_hostile_recordings_are_told_in_plain_lines_without_a_value(tmp_path: Path) -> None:
    (tmp_path / f"a{STRANGE}.mitm").write_bytes(recording())
    os.mkfifo(tmp_path / "pipe.mitm")
    for options in ([], ["--json"]):
        done = CliRunner().invoke(app, ["scan", str(tmp_path), "--state", str(tmp_path / "none"), *options])
        assert done.exit_code == 1, done.exception
        assert "header" in done.stdout
        assert "pair-password" in done.stdout
        assert PASSWORD not in done.output
        for line in done.output.splitlines():
            assert line.replace("\t", "").isprintable()
