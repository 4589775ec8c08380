"""The end of `ddgate demo`: the recording is replayed, the trail is read, and the secrets are looked for."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from itertools import chain
from pathlib import Path

from mitmproxy import http

from addons.cli.demo.calls import WHO, Story
from addons.cli.demo.evidence import Entry, Evidence, file_places, first_place, read_flows
from addons.cli.demo.stage import Stage
from addons.cli.demo.teller import ClaimFailed
from addons.cli.processes import Child
from addons.core.model import Reason
from addons.core.redact.masking.mask import contains_mask
from addons.store.state_dir import create_private_file

_AGENT, _PERSON = "demo-agent", "alice"
_SECONDS = 40.0


def replay(story: Story) -> None:
    """Send the recording again with stock mitmproxy, as somebody who may do less."""
    teller, stage, evidence = story.teller, story.stage, story.evidence
    teller.step(f"{_PERSON} has it all replayed by stock mitmproxy, through the gateway, in her own name")
    recording = stage.directory / "recording.mitm"
    create_private_file(recording, evidence.recording())
    before = read_flows(recording.read_bytes())
    known, reached = len(evidence.ends()), len(evidence.received())
    token = story.take_token(stage.token(_AGENT, on_behalf_of=_PERSON))
    teller.say(
        f"mitmdump --mode upstream:{stage.gateway_url} --set upstream_auth={_PERSON}:$TOKEN "
        "--set ssl_verify_upstream_trusted_ca=ddgate-ca.pem -C recording.mitm"
    )
    with teller.waiting(f"replaying {len(before)} calls"):
        after = _replayed(stage, recording, token)
    anew, sent = evidence.ends(known), evidence.received()[reached:]
    teller.claim(
        f"all {len(before)} recorded calls were replayed", [f.id for f in before] == [f.id for f in after]
    )
    teller.table(
        ("call", "recorded", "replayed", ""),
        [_row(old, new) for old, new in zip(before, after, strict=True)],
    )
    teller.claim(
        f"audit trail: each was decided anew, as {_AGENT} for {_PERSON}",
        [(entry.who, entry.on_behalf_of) for entry in anew] == [(_AGENT, _PERSON)] * len(before),
        [(entry.who, entry.on_behalf_of) for entry in anew],
    )
    _claim_what_became_of_them(story, list(zip(before, after, anew, strict=True)))
    teller.claim(
        f"Datadog got the {len(sent)} reads that were allowed, with the gateway's key, and no write",
        [one.method for one in sent] == ["GET"] * sum(not entry.is_refused for entry in anew)
        and all(one.values("dd-api-key") == [story.keys["api_key"]] for one in sent),
    )


def _claim_what_became_of_them(
    story: Story, calls: Sequence[tuple[http.HTTPFlow, http.HTTPFlow, Entry]]
) -> None:
    reads = [(old, new) for old, new, entry in calls if not entry.is_refused and _status(old) == _status(new)]
    story.teller.claim(
        f"{len(reads)} reads brought the same answer again, byte for byte",
        bool(reads) and all(_body(old) == _body(new) for old, new in reads),
    )
    masked = [entry for old, _, entry in calls if contains_mask(old.request.content or b"")]
    story.teller.claim(
        "the log line with the mask was refused: a mask never travels back",
        [entry.reason for entry in masked] == [Reason.MASKED_VALUE],
        [entry.reason for entry in masked],
    )
    for operation, why in (
        ("CreateMonitor", f"which {WHO} may"),
        ("UpdateMonitor", "which was approved once"),
    ):
        writes = [entry.verdict for _, _, entry in calls if entry.operation == operation]
        story.teller.claim(
            f"{operation}, {why}, {_AGENT} may not; {', '.join(writes)}",
            writes == [f"denied: {Reason.NO_RULE}"],
        )


def read_the_trail(story: Story) -> None:
    teller, entries = story.teller, story.evidence.entries()
    ends = [entry for entry in entries if entry.is_end]
    teller.step("Who did what, and what came of it: the audit trail (`ddgate audit tail`)")
    teller.table(
        ("who", "operation", "verdict", "status", "masked"),
        [
            (
                (_who(entry), "bold"),
                (entry.operation or "-", "cyan"),
                (entry.verdict, "red" if entry.is_refused else "green"),
                (str(entry.status or "-"), ""),
                (", ".join(sorted(entry.findings)) or "-", "dim"),
            )
            for entry in ends
        ],
    )
    attempted = {entry.call for entry in entries if entry.kind == "attempted"}
    allowed = [entry for entry in ends if not entry.is_refused]
    teller.claim(
        f"{len(ends)} calls: {len(allowed)} allowed, each on record twice, as attempted and as answered",
        attempted == {entry.call for entry in allowed} and len(attempted) == len(allowed),
    )
    received = story.evidence.received()
    teller.claim(
        f"Datadog got exactly {len(received)} requests, one for each allowed call",
        len(received) == len(allowed),
        len(allowed),
    )


def look_for_the_secrets(story: Story) -> None:
    teller, stage = story.teller, story.stage
    teller.step("Where are the secrets now?")
    found = first_place(story.secrets, _all_places(stage, story.evidence))
    teller.claim(
        f"the password, the gateway's {len(story.keys)} Datadog keys, {len(story.tokens)} tokens: none of "
        "them is in the audit log, the recordings, any other file that the gateway wrote, or its log",
        found is None,
        found,
    )


def _all_places(stage: Stage, evidence: Evidence) -> Iterator[tuple[str, bytes]]:
    log = [("the processes' log", stage.log.read_bytes())]
    return chain(evidence.readable(), file_places(stage.ca.parent), log)


def _replayed(stage: Stage, recording: Path, token: str) -> list[http.HTTPFlow]:
    """The recorded flows with the answers that they got now. Raises ClaimFailed."""
    home, out = stage.directory / "mitmproxy", stage.directory / "replayed.mitm"
    home.mkdir(mode=0o700)
    # In a file: anybody on the machine can read a command line.
    create_private_file(home / "config.yaml", json.dumps({"upstream_auth": f"{_PERSON}:{token}"}).encode())
    command = [_mitmdump(), "-n", "--set", f"confdir={home}", "--mode", f"upstream:{stage.gateway_url}"]
    command += ["--set", f"ssl_verify_upstream_trusted_ca={stage.ca}", "-w", str(out), "-C", str(recording)]
    with stage.log.open("ab") as log:
        process = subprocess.Popen(
            command,
            env=dict(stage.base),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stage.processes.children.append(Child("mitmdump", process))
    try:
        status = process.wait(_SECONDS)
    except subprocess.TimeoutExpired:
        raise ClaimFailed(f"mitmdump replays the recording; it took more than {_SECONDS:.0f} s") from None
    if status != 0:
        raise ClaimFailed(f"mitmdump replays the recording; it ended with status {status}")
    return read_flows(out.read_bytes() if out.exists() else b"")


def _mitmdump() -> str:
    beside = Path(sys.executable).with_name("mitmdump")
    found = str(beside) if beside.exists() else shutil.which("mitmdump")
    if found is None:
        raise ClaimFailed(f"mitmdump is installed; it is neither {beside} nor on the PATH")
    return found


def _row(old: http.HTTPFlow, new: http.HTTPFlow) -> list[tuple[str, str]]:
    if _reason(new):
        became = ("denied again" if _reason(old) else "denied now", "red")
    elif _reason(old):
        became = ("answered now", "green")
    else:
        became = ("the same bytes", "green") if _body(old) == _body(new) else ("another answer", "yellow")
    return [(f"{old.request.method} {old.request.path}", "bold"), _answer(old), _answer(new), became]


def _answer(flow: http.HTTPFlow) -> tuple[str, str]:
    status, reason = _status(flow), _reason(flow)
    return f"{status or 'none'} {reason}".rstrip(), "red" if reason or status is None else "green"


def _reason(flow: http.HTTPFlow) -> str:
    """The reason of a refusal, where it was ddgate that answered."""
    try:
        told = json.loads(_body(flow))
    except ValueError:
        return ""
    return str(told.get("ddgate", {}).get("reason", "")) if isinstance(told, dict) else ""


def _status(flow: http.HTTPFlow) -> int | None:
    return None if flow.response is None else flow.response.status_code


def _body(flow: http.HTTPFlow) -> bytes:
    return b"" if flow.response is None else flow.response.raw_content or b""


def _who(entry: Entry) -> str:
    who = entry.who or "nobody"
    return f"{who} for {entry.on_behalf_of}" if entry.on_behalf_of else who
