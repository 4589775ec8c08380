"""`ddgate redact`: try redaction on a message, look for what recordings still hold, and score it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from addons.cli.errors import told_plainly
from addons.cli.options import DEFAULT_STATE_DIR, StateDirOption

_FOUND = 1
_FAILED = 2
_PERCENT = 100.0

app = typer.Typer(
    help="Try redaction on a message, find what recordings still hold, and score it on a corpus.",
    no_args_is_help=True,
    rich_markup_mode="markdown",
)

PiiOption = Annotated[
    bool, typer.Option("--pii", help="Personal data too: e-mail addresses, card numbers, IBANs and so on.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON, for other programs.")]
FileArgument = Annotated[
    Path, typer.Argument(metavar="FILE", help="A body, a text or an HTTP message; -: the standard input.")
]
TypeOption = Annotated[
    str | None,
    typer.Option(
        "--type",
        metavar="MEDIA-TYPE",
        help="What it is, as its Content-Type says: application/x-protobuf, message/http. Without it, what "
        "begins as an HTTP message is one, and the rest is told by what it holds.",
    ),
]
FlowsArgument = Annotated[
    list[Path] | None,
    typer.Argument(
        metavar="[RECORDINGS]...",
        help="Files (sealed ones and stock mitmproxy's too), or directories of them. Without any: the state "
        "directory's.",
    ),
]
ScanJsonOption = Annotated[bool, typer.Option("--json", help="One JSON object a line, for other programs.")]
DirectoryArgument = Annotated[
    Path, typer.Argument(metavar="DIR", help="Holds positives.jsonl and negatives.jsonl.", file_okay=False)
]
AllPiiOption = Annotated[
    bool,
    typer.Option(
        "--pii", help="Look for personal data in every message, not only where its `policy` is pii."
    ),
]
VerboseOption = Annotated[
    bool, typer.Option("--verbose", help="The ids of what was missed, and of what changed, too.")
]
MinRecallOption = Annotated[
    float | None,
    typer.Option("--min-recall", metavar="PERCENT", min=0, max=100, help="Exit status 1 below this recall."),
]
MaxChangedOption = Annotated[
    float | None,
    typer.Option(
        "--max-changed", metavar="PERCENT", min=0, max=100, help="Exit status 1 where more clean ones change."
    ),
]


@app.command("test")
def try_redaction(
    file: FileArgument,
    media_type: TypeOption = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    pii: PiiOption = False,
    as_json: JsonOption = False,
) -> None:
    """Show what would be masked in a message, where, and by which detector, as a diff.

    Of what is masked it shows the first characters and the length, never the whole. The masks are those of
    the recordings in the state directory, so that `ddgate recordings search` finds them there; where it has
    no key yet they are of this run alone. An HTTP message (`curl -i`, or as you would type it) is read by its
    request line, headers and body, its Content-Encoding undone.
    Exit status: 0 there is nothing to mask, 1 there is, 2 it can't be read.

    What becomes of a log: `ddgate redact test logs.json`

    Of one line: `echo 'login password=hunter2' | ddgate redact test -`

    In CI, by detector: `ddgate redact test - --json < fixture.json | jq -r '.findings[].detector'`
    """
    with _ending_plainly():
        from addons.cli.redact.masking import Chosen  # noqa: PLC0415 - detectors take a while to load
        from addons.cli.redact.trying import try_file  # noqa: PLC0415 - as above

        found = try_file(file, media_type, state, Chosen(pii=pii), as_json=as_json)
    raise typer.Exit(_FOUND if found else 0)


@app.command()
def scan(
    recordings: FlowsArgument = None,
    state: StateDirOption = DEFAULT_STATE_DIR,
    *,
    pii: PiiOption = False,
    as_json: ScanJsonOption = False,
) -> None:
    """Find what recordings still hold: secrets that an older ddgate missed, or that stock mitmproxy wrote.

    Looks through urls, headers, trailers, bodies, WebSocket messages and what was noted beside them, and says
    of each finding in which call it is, where, and which detector knows it; never the value. Nothing is
    changed. What can't be read is told with its place, and the rest is read.
    Exit status: 0 nothing is found and all was read, 1 something is found, 2 nothing is found and something
    could not be read.

    Everything that this gateway recorded: `ddgate redact scan`

    Which calls: `ddgate redact scan week/ --json | jq -r 'select(.detector) | .call' | sort -u`
    """
    with _ending_plainly():
        from addons.cli.redact.masking import Chosen  # noqa: PLC0415 - mitmproxy takes half a second to load
        from addons.cli.redact.searching import search_recordings  # noqa: PLC0415 - as above

        searched = search_recordings(recordings, state, Chosen(pii=pii), as_json=as_json)
    raise typer.Exit(_FOUND if searched.findings else _FAILED if searched.unread else 0)


@app.command()
def score(  # noqa: PLR0913 - each is an option of the command
    directory: DirectoryArgument,
    min_recall: MinRecallOption = None,
    max_changed: MaxChangedOption = None,
    *,
    pii: AllPiiOption = False,
    verbose: VerboseOption = False,
    as_json: JsonOption = False,
) -> None:
    """Score redaction on labelled messages: recall by tier and family, and what changed without need.

    A secret is missed if three fifths of it in a row (6 to 24 characters) can still be read from the url, the
    headers or the body, also under JSON escapes, percent, base64, hexadecimal and gzip. A clean message has
    to stay as it is; `overkill` are messages that lost what had to stay, or are no JSON any more.

    DIR holds positives.jsonl and negatives.jsonl, one message a line: id, url, headers, content_type,
    content_encoding, body, body_encoding (utf-8 or base64); what hides something has secret (or parts), keep,
    policy (secret or pii), tier and family, what hides nothing a category.
    Exit status: 0 it is scored, 1 it is below a bar that was given, 2 the corpus can't be read.

    What is missed: `ddgate redact score corpus/ --verbose`

    In CI: `ddgate redact score corpus/ --min-recall 95 --max-changed 0.5`
    """
    with _ending_plainly():
        from addons.cli.redact.masking import Chosen  # noqa: PLC0415 - detectors take a while to load
        from addons.cli.redact.scoring import print_score, print_score_json, score_corpus  # noqa: PLC0415 - as above

        scored = score_corpus(directory, Chosen(pii=pii))
        failed = (min_recall is not None and scored.found.part * _PERCENT < min_recall) or (
            max_changed is not None and scored.changed.part * _PERCENT > max_changed
        )
        if as_json:
            print_score_json(scored, failed=failed)
        else:
            print_score(scored, verbose=verbose)
    raise typer.Exit(_FOUND if failed else 0)


@contextmanager
def _ending_plainly() -> Iterator[None]:
    """As `told_plainly`, with an exit status of its own: to find something is another thing than to fail."""
    try:
        with told_plainly():
            try:
                yield
                sys.stdout.flush()
            except BrokenPipeError:  # whoever reads has seen enough
                os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
                raise typer.Exit(_FAILED) from None
    except typer.Exit:
        raise typer.Exit(_FAILED) from None
