"""`ddgate policy backtest`: which recorded calls a new policy would decide in another way."""

from __future__ import annotations

import json
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.policy.choice import DetectorsOption, JsonOption, known_detectors
from addons.core.policy.backtesting import Change


class FailOn(StrEnum):
    """What makes the exit status 1: changes to calls that ran, or any change."""

    DENIED = "denied"
    ASKED = "asked"
    CHANGED = "changed"
    NEVER = "never"


_FAILING = {
    FailOn.DENIED: (Change.DENIED,),
    FailOn.ASKED: (Change.DENIED, Change.ASKED),
    FailOn.NEVER: (),
}
NewArgument = Annotated[Path, typer.Argument(metavar="NEW", help="The policy file to try.", dir_okay=False)]
FlowsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[FLOWS]...",
        help="Recordings: files (stock mitmproxy's too), or directories of them. Without any: the state "
        "directory's.",
    ),
]
AlsoOption = Annotated[
    list[Path] | None,
    typer.Option("--also", help="One more file of the new policy; may be given several times."),
]
AgainstOption = Annotated[
    list[Path] | None,
    typer.Option(
        "--against",
        help="A file of the policy to compare with; may be given several times. Without it the comparison is "
        "with what was decided when the calls were made.",
    ),
]
NamelessOption = Annotated[
    list[str] | None,
    typer.Option(
        "--groups",
        help="The group of calls that name nobody, such as those that stock mitmproxy recorded. Without it "
        "they are not judged.",
    ),
]
FailOnOption = Annotated[
    FailOn,
    typer.Option(
        "--fail-on",
        help="What makes the exit status 1: a call that ran and would now be denied; also one that would "
        "wait for approval; any change; nothing.",
    ),
]


def backtest(  # noqa: PLR0913, PLR0917 - each is an option of the command
    new: NewArgument,
    flows: FlowsArgument = None,
    against: AgainstOption = None,
    also: AlsoOption = None,
    groups: NamelessOption = None,
    fail_on: FailOnOption = FailOn.DENIED,
    state: StateDirOption = DEFAULT_STATE_DIR,
    config_path: DetectorsOption = None,
    *,
    as_json: JsonOption = False,
) -> None:
    """Try a policy on recorded calls, before it is live: which of them would be decided otherwise.

    Shows the changes by rule and by identity, with the ids of some calls; `ddgate policy explain ID` tells
    more of one. Under `profile: observe` it is compared what would be enforced. Limits are not applied, and
    shadow rules are only counted. A call that can't be judged, because the recording doesn't hold what a rule
    reads, is counted with the reason.
    Exit status: 0 nothing that ran would be denied, 1 something would (see --fail-on), or the files have
    problems.

    On everything that this gateway recorded: `ddgate policy backtest new.yaml`

    On last week: `ddgate policy backtest new.yaml week/*.mitm`

    Two policies on the same calls: `ddgate policy backtest new.yaml week/ --against old.yaml`

    In CI: `ddgate policy backtest new.yaml week/ --json | jq '.changes[] | select(.change == "denied")'`
    """
    # mitmproxy takes half a second to load, and most of what `ddgate policy` does goes without it
    from addons.cli.policy.comparison import compare  # noqa: PLC0415 - as above

    with told_plainly():
        detectors = known_detectors(config_path, None)
        compared = compare([new, *(also or [])], against or [], flows, groups, state, detectors)
    comparison = compared.comparison
    if fail_on is FailOn.CHANGED:
        failed = comparison.total(*Change) > 0
    else:
        failed = comparison.would_stop(_FAILING[fail_on]) > 0
    if as_json:
        typer.echo(json.dumps({**compared.as_json(), "failed": failed}, indent=2))
    else:
        compared.print()
    raise typer.Exit(1 if failed else 0)
