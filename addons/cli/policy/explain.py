"""`ddgate policy explain`: every rule, and whether it fits one call or why not."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.policy.choice import ConfigOption, JsonOption, chosen_files, known_detectors, read_chosen
from addons.cli.policy.explanation import Explained, contents_of, explanation_json, print_explanation
from addons.cli.policy.given import InlineRequest, given_request, inline_request
from addons.core.catalogue import Catalogue
from addons.core.policy.policy_set import PolicySet
from addons.core.start_problems import GatewayProblem
from addons.core.yaml_source import Position
from addons.store.config_file import read_text
from addons.store.policy.files import read_catalogue
from addons.store.recordings.segment_reader import SUFFIXES

if TYPE_CHECKING:
    from addons.core.policy.request import PolicyRequest

# ddgate's call ids are ULIDs, mitmproxy's flow ids UUIDs
_ID = re.compile(r"[0-9A-HJKMNP-TV-Z]{26}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")

CallArgument = Annotated[
    str | None,
    typer.Argument(
        metavar="[CALL]",
        help="A recording, the id of a recorded call, or a file (`-`: what comes in) that gives a call as "
        "the `given:` of a test does.",
    ),
]
CallOption = Annotated[
    str | None,
    typer.Option("--call", help="Which call of the recording: its id, the flow's id, or `last`."),
]
PolicyOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--policy",
        "-p",
        help="A policy file to explain it by; may be given several times. Without it: as `policy check`.",
    ),
]
OpOption = Annotated[
    str | None, typer.Option("--op", help="To make a call up: the operation, such as UpdateMonitor.")
]
GroupsOption = Annotated[
    list[str] | None, typer.Option("--groups", help="A group of the caller; may be given several times.")
]
SubjectOption = Annotated[str | None, typer.Option("--subject", help="Who calls.")]
MethodOption = Annotated[str | None, typer.Option("--method", help="Its method.")]
PathOption = Annotated[
    str | None,
    typer.Option("--path", help="Its path, with the query; without --op it tells the operation, too."),
]
BodyOption = Annotated[
    Path | None, typer.Option("--body", help="A file with its JSON body.", exists=True, dir_okay=False)
]


def explain(  # noqa: PLR0913, PLR0917 - each is an option of the command
    what: CallArgument = None,
    call: CallOption = None,
    policy: PolicyOption = None,
    op: OpOption = None,
    groups: GroupsOption = None,
    subject: SubjectOption = None,
    method: MethodOption = None,
    path: PathOption = None,
    body: BodyOption = None,
    config_path: ConfigOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    as_json: JsonOption = False,
) -> None:
    """Say how a call is decided, and of every rule whether it fits or which of its fields said no.

    The call is a recorded one, or one made up. The rules that fit come first, then the others, those nearest
    to fitting first, each with its place in the file. A recorded call is judged by the policy as it is now;
    what was decided then is shown beside it. Limits are not applied.
    Exit status: 0 whatever the decision, 1 there is no such call, or the files have problems.

    A call by the id that its refusal names: `ddgate policy explain 01M8ZRT4XN5Y6Z7A8B9C0D1E2F`

    The last one of a recording: `ddgate policy explain week.mitm --call last`

    A call made up: `ddgate policy explain --op UpdateMonitor --groups sre-agents --body monitor.json`

    As a test gives it: `echo '{who: {groups: [agents]}, op: ListMonitors}' | ddgate policy explain -`
    """
    with told_plainly():
        catalogue = read_catalogue()
        files, loaded = chosen_files(policy, config_path)
        policy_set = read_chosen(files, catalogue, known_detectors(config_path, loaded))
        inline = InlineRequest(op, tuple(groups or ()), subject, method, path, body)
        explained: Explained | None
        if what is None:
            explained = _made_up(policy_set, inline_request(inline, catalogue))
        elif not inline.is_empty:
            raise GatewayProblem("--op, --groups and the like make a call up; leave them out beside a CALL")
        elif (text := _given_text(what)) is not None:
            explained = _made_up(policy_set, given_request(text, what, catalogue))
        else:
            explained = _recorded(what, call, policy_set, catalogue, state)
    if explained is None:
        return
    if as_json:
        typer.echo(json.dumps(explanation_json(explained), indent=2))
    else:
        print_explanation(explained)


def _given_text(what: str) -> str | None:
    """Read a call that is made up in a file; None where `what` is something else."""
    if what == "-":
        try:
            return typer.get_binary_stream("stdin").read().decode()
        except UnicodeDecodeError:
            raise GatewayProblem("what comes in is not UTF-8; send YAML or JSON") from None
    place = Path(what)
    if place.is_dir() or place.name.endswith(SUFFIXES) or not place.exists():
        return None
    with place.open("rb") as file:
        digits, colon, _ = file.read(13).partition(b":")
    if colon and digits.isdigit():  # as every flow file begins
        return None
    return read_text(place, Position(what), "name a file that is there")


def _recorded(
    what: str, call: str | None, policy_set: PolicySet, catalogue: Catalogue, state: Path
) -> Explained | None:
    from addons.cli.policy.explain_recorded import explained_call, find_call  # noqa: PLC0415 - mitmproxy

    if Path(what).exists():
        found = find_call(Path(what), call, catalogue)
    elif _ID.fullmatch(what):
        found = find_call(state, what, catalogue)
    else:
        raise GatewayProblem(f"{what}: no such file, and not the id of a call")
    return explained_call(policy_set, found) if found is not None else None


def _made_up(policy_set: PolicySet, request: PolicyRequest) -> Explained:
    explanation = policy_set.explain(request)
    return Explained(
        request=request,
        decision=explanation.decision,
        rules=explanation.rules,
        contents=contents_of(policy_set),
        at="",
    )
