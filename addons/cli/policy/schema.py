"""`ddgate policy schema`: what an editor needs to complete and check policy files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from addons.cli.errors import told_plainly
from addons.cli.policy.choice import DetectorsOption, known_detectors
from addons.core.policy.forms.schema import schema_text
from addons.store.policy.files import read_catalogue

OutputOption = Annotated[
    Path | None,
    typer.Option("--output", "-o", metavar="FILE", help="Write it there, rather than to standard output."),
]


def schema(output: OutputOption = None, config_path: DetectorsOption = None) -> None:
    """Print the JSON Schema of policy files.

    It knows every key, operation, tag, risk class and detector, so an editor completes them and marks what is
    none. `policies/schema.json` is this; for files elsewhere, name it in their first line:

    `# yaml-language-server: $schema=/path/to/policies/schema.json`

    With detectors of your own: `ddgate policy schema --config ddgate.yaml -o policy.schema.json`

    After a change of the catalogue: `ddgate policy schema -o policies/schema.json`
    """
    with told_plainly():
        text = schema_text(read_catalogue(), known_detectors(config_path, None))
        if output is not None:
            output.write_text(text)
    if output is None:
        typer.echo(text, nl=False)
