"""`ddgate policy suggest`: a least-privilege policy out of what was seen."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.policy.backtest import FlowsArgument, NamelessOption
from addons.core.start_problems import GatewayProblem
from addons.store.policy.files import read_catalogue

OutOption = Annotated[
    Path | None,
    typer.Option("--out", "-o", help="The file to write; without it the policy is printed.", dir_okay=False),
]
ForceOption = Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")]
SeenOption = Annotated[
    int,
    typer.Option(
        "--seen",
        min=1,
        max=100,
        help="On how many days something must have been done to be a habit; each identity's days count by "
        "themselves, and two different ones are needed. 1 takes whatever was done at all.",
    ),
]
ApproversOption = Annotated[
    str, typer.Option("--approvers", help="The group that is asked where a person must decide.")
]


def suggest(  # noqa: PLR0913, PLR0917 - one parameter for each option
    flows: FlowsArgument = None,
    out: OutOption = None,
    seen: SeenOption = 3,
    approvers: ApproversOption = "approvers",
    groups: NamelessOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    force: ForceOption = False,
) -> None:
    """Write a policy that permits what agents were seen to do as a habit, and nothing else.

    Reads, telemetry and writes are allowed to the group that does them, by Datadog's own names; writes only
    with the parameters, fields and notified people that were seen. What destroys, sets something off or hands
    data to the outside becomes a rule that asks for approval. Keys, users and roles are in no rule. What was
    refused then, was done on too few days, or is no operation that is known is left out and listed at the end
    with the reason. Above each rule stands what it rests on, and beside the rules are their tests.
    Read it before you use it: what was a habit may still be wrong.
    Exit status: 0 the policy is written, 1 it can't be.

    From all that this gateway recorded: `ddgate policy suggest -o suggested.yaml`

    From last week: `ddgate policy suggest week/*.mitm -o suggested.yaml`

    From an hour's trial: `ddgate policy suggest trial.mitm --seen 1`

    Then, on the next week: `ddgate policy backtest suggested.yaml next-week/`
    """
    from addons.cli.policy.recordings import open_calls, tell_unread  # noqa: PLC0415 - mitmproxy loads slowly
    from addons.cli.policy.suggestion import make_suggestion  # noqa: PLC0415 - as above

    with told_plainly():
        if out is not None and out.exists() and not force:
            raise GatewayProblem(f"{out} is there already; name another file, or replace it with --force")
        calls = open_calls(flows, state, read_catalogue(), groups)
        made = make_suggestion(calls, seen, approvers)
        tell_unread(calls)
        if out is None:
            typer.echo(made.text, nl=False)
        else:
            out.write_text(made.text, encoding="utf-8")
    errors = Console(stderr=True, highlight=False, emoji=False, markup=False, soft_wrap=True)
    for line in made.summary:
        errors.print(line)
    if out is not None:
        errors.print(f"Written to {out}. Read it, then: ddgate policy test {out}")
