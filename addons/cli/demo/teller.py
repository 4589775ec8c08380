"""How `ddgate demo` speaks: numbered steps, what is seen, and claims that are only printed when they hold."""

from __future__ import annotations

import io
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich import box
from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

_PLAIN_WIDTH = 160
_RHYTHM = 0.12  # seconds before a line, on a terminal alone
_NOT_SHOWN = "[not shown here]"


class ClaimFailed(Exception):  # noqa: N818 - named after what happened
    """What a step was about to say isn't so. The text is the claim, then what was found instead."""


@dataclass(slots=True)
class Teller:
    """Writes for a person. What is in `secrets` never gets out, whatever text it stands in."""

    console: Console
    secrets: set[str] = field(default_factory=set)
    steps: int = 0
    claims: int = 0

    @staticmethod
    def for_output() -> Teller:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors="replace")  # a terminal may know no tick
        console = Console(highlight=False, markup=False, emoji=False)
        if not console.is_terminal:
            # Nobody reads a narrow column in a log: one line stays one line.
            console = Console(highlight=False, markup=False, emoji=False, width=_PLAIN_WIDTH)
        return Teller(console)

    def step(self, title: str) -> None:
        self.steps += 1
        self.console.print()
        self._line(Text(title, style="bold cyan"), Text(f"{self.steps}. ", style="bold cyan"))

    def say(self, text: str) -> None:
        self._line(Text(self._clean(text)), Text("    "))

    def show(self, label: str, value: str, note: str = "") -> None:
        """One thing seen; the note says what it is."""
        line = Text(self._clean(value), style="bold")
        if note:
            line.append(f"  {self._clean(note)}", style="not bold dim")
        self._line(line, Text(f"      {label:<14}", style="dim"))

    def claim(self, text: str, holds: bool, found: object = None) -> None:  # noqa: FBT001 - claim(text, a == b)
        """Say it with a tick. Raises ClaimFailed with what was `found` where it doesn't hold."""
        text = self._clean(text)
        if not holds:
            instead = "" if found is None else f"; found: {self._clean(str(found))}"
            raise ClaimFailed(f"{text}{instead}")
        self.claims += 1
        self._line(Text(text), Text("    ✓ ", style="bold green"))

    def table(self, heads: Sequence[str], rows: Iterable[Sequence[tuple[str, str]]]) -> None:
        """`rows` of (text, style) cells."""
        table = Table(
            box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, 1), header_style="dim"
        )
        for head in heads:
            table.add_column(head, overflow="fold")
        for row in rows:
            table.add_row(*(Text(self._clean(text), style=style) for text, style in row))
        self.console.print(Padding(table, (0, 0, 0, 4), expand=False))

    def failed(self, text: str) -> None:
        self.console.print()
        self._line(Text(self._clean(text), style="red"), Text("✗ ", style="bold red"))

    @contextmanager
    def waiting(self, text: str) -> Iterator[None]:
        """Something that takes a second or two: a spinner on a terminal, a line elsewhere."""
        if self.console.is_terminal:
            with self.console.status(Text(text)):
                yield
        else:
            self.say(text)
            yield

    def _line(self, text: Text, lead: Text) -> None:
        """On a terminal what doesn't fit goes on below its own beginning, not below the lead."""
        if self.console.is_terminal:
            time.sleep(_RHYTHM)
            line = Table.grid()
            line.add_column(no_wrap=True)
            line.add_column(overflow="fold")
            line.add_row(lead, text)
            self.console.print(line)
        else:
            self.console.print(lead, text, sep="", soft_wrap=True)

    def _clean(self, text: str) -> str:
        for secret in self.secrets:
            text = text.replace(secret, _NOT_SHOWN)
        # What came off the wire moves no cursor.
        return "".join(char if char.isprintable() else "?" for char in text)
