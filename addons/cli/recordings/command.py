"""`ddgate recordings`: find recorded calls, read them, and hand them on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from addons.cli import call_options
from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption
from addons.cli.recordings import options
from addons.cli.recordings import serve as recordings_serve
from addons.cli.recordings.options import Asked, Format, question_of
from addons.store.state_dir import StateDir

app = typer.Typer(help="Find, read and export recorded calls.", no_args_is_help=True)
app.command("serve")(recordings_serve.serve)


JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for other programs.")]
LimitOption = Annotated[
    int, typer.Option("--limit", "-n", min=0, help="How many at most, the newest first; 0: all.")
]
IdArgument = Annotated[
    str, typer.Argument(metavar="ID", help="The call's id, or the beginning of it where no other begins so.")
]


@app.callback()
def _recordings() -> None:
    """Find, read and export recorded calls."""


@app.command("list")
def list_calls(  # noqa: PLR0913, PLR0917 - each is an option of the command
    who: call_options.WhoOption = None,
    on_behalf_of: call_options.OnBehalfOfOption = None,
    session: call_options.SessionOption = None,
    operation: call_options.OperationOption = None,
    method: options.MethodOption = None,
    path: options.PathOption = None,
    status: call_options.StatusOption = None,
    effect: call_options.EffectOption = None,
    rule: call_options.RuleOption = None,
    approval: options.ApprovalOption = None,
    since: call_options.SinceOption = None,
    until: call_options.UntilOption = None,
    limit: LimitOption = 50,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    as_json: JsonOption = False,
) -> None:
    """List recorded calls, the newest first. All options that are given must fit.

    For example, what an agent deleted today: ddgate recordings list --who deploy-bot --operation 'Delete*'
    --since 24h

    What went wrong: ddgate recordings list --status 4xx --json | jq .path
    """
    asked = Asked(
        who=who,
        on_behalf_of=on_behalf_of,
        session=session,
        operation=operation,
        method=method,
        path=path,
        status=status,
        effect=effect,
        rule=rule,
        approval=approval,
        since=since,
        until=until,
    )
    # mitmproxy takes half a second to load, and other subcommands go without it
    from addons.cli.recordings.listing import print_list  # noqa: PLC0415 - as above

    with told_plainly():
        print_list(StateDir(state), question_of(asked, limit), as_json=as_json)


@app.command()
def search(  # noqa: PLR0913, PLR0917 - each is an option of the command
    text: Annotated[str, typer.Argument(metavar="TEXT", help="What to look for, without regard to case.")],
    who: call_options.WhoOption = None,
    on_behalf_of: call_options.OnBehalfOfOption = None,
    session: call_options.SessionOption = None,
    operation: call_options.OperationOption = None,
    method: options.MethodOption = None,
    path: options.PathOption = None,
    status: call_options.StatusOption = None,
    effect: call_options.EffectOption = None,
    rule: call_options.RuleOption = None,
    approval: options.ApprovalOption = None,
    since: call_options.SinceOption = None,
    until: call_options.UntilOption = None,
    limit: LimitOption = 50,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    as_json: JsonOption = False,
) -> None:
    """Look for a text in recorded calls: request lines, headers, decoded bodies, and what ddgate noted.

    It reads every call that the options leave, the newest first, so narrow it where there are many. What was
    masked can't be found by its value.

    For example: ddgate recordings search 'disk is full' --operation '*Monitor' --since 7d
    """
    asked = Asked(
        who=who,
        on_behalf_of=on_behalf_of,
        session=session,
        operation=operation,
        method=method,
        path=path,
        status=status,
        effect=effect,
        rule=rule,
        approval=approval,
        since=since,
        until=until,
    )
    if not text:
        raise typer.BadParameter("there is nothing to look for in an empty text")
    from addons.cli.recordings.listing import print_found  # noqa: PLC0415 - as above

    with told_plainly():
        print_found(StateDir(state), text, question_of(asked, limit), as_json=as_json)


@app.command()
def show(
    identifier: IdArgument,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    full: Annotated[bool, typer.Option("--full", help="Bodies whole, however long they are.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object, bodies whole.")] = False,
) -> None:
    """Show one recorded call: who, what was decided, what was asked and answered.

    Its bytes are held against the digest in the audit log. Exit status: 0, or 1 where they are not what was
    recorded.

    For example: ddgate recordings show 01M84AMVMZ
    """
    from addons.cli.recordings.showing import print_call  # noqa: PLC0415 - as above

    with told_plainly():
        proven = print_call(StateDir(state), identifier, full=full, as_json=as_json)
    raise typer.Exit(0 if proven else 1)


@app.command()
def export(  # noqa: PLR0913, PLR0917 - each is an option of the command
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write, mode 0600; - is the standard output.")
    ],
    identifier: Annotated[
        str | None, typer.Argument(metavar="[ID]", help="One call; else all that the options leave.")
    ] = None,
    form: Annotated[
        Format,
        typer.Option(
            "--format",
            "-f",
            help="mitm: for mitmproxy; har: for browsers and other tools (HAR 1.2); curl: a shell script "
            "that makes the calls again, through the gateway.",
        ),
    ] = Format.MITM,
    who: call_options.WhoOption = None,
    on_behalf_of: call_options.OnBehalfOfOption = None,
    session: call_options.SessionOption = None,
    operation: call_options.OperationOption = None,
    method: options.MethodOption = None,
    path: options.PathOption = None,
    status: call_options.StatusOption = None,
    effect: call_options.EffectOption = None,
    rule: call_options.RuleOption = None,
    approval: options.ApprovalOption = None,
    since: call_options.SinceOption = None,
    until: call_options.UntilOption = None,
    limit: LimitOption = 0,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    force: Annotated[bool, typer.Option("--force", help="Write over the file if there is one.")] = False,
) -> None:
    """Write recorded calls to a file, in the order in which they were made.

    Exit status: 0, or 1 where there were none, or some could not be read.

    For example, a session for mitmweb: ddgate recordings export --session run-17 -o run.mitm

    One call again: ddgate recordings export 01M84AMVMZ -f curl -o again.sh && DDGATE_TOKEN=… sh again.sh
    """
    asked = Asked(
        who=who,
        on_behalf_of=on_behalf_of,
        session=session,
        operation=operation,
        method=method,
        path=path,
        status=status,
        effect=effect,
        rule=rule,
        approval=approval,
        since=since,
        until=until,
    )
    question = question_of(asked, limit)
    if identifier is not None and question.asked:
        raise typer.BadParameter("name one call by its ID, or several by options, not both")
    from addons.cli.recordings.export import Target, export_calls  # noqa: PLC0415 - as above

    with told_plainly():
        whole = export_calls(StateDir(state), identifier or question, form, Target(output, force=force))
    raise typer.Exit(0 if whole else 1)


@app.command()
def reindex(state: StateDirOption = DEFAULT_STATE_DIR) -> None:
    """Make the index of the recordings anew, from the recordings alone.

    It is kept up to date by whoever reads; this is for when something else changed the files.
    """
    from addons.cli.recordings.reading import make_anew  # noqa: PLC0415 - as above

    with told_plainly():
        make_anew(StateDir(state))
