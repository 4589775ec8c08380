"""Reads a labelled corpus to score redaction on: `positives.jsonl` and `negatives.jsonl` of a directory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from addons.core.redact.scoring.corpus_case import Case, CaseInvalid, read_case

_FILES = {"positives.jsonl": False, "negatives.jsonl": True}
_LONGEST_LINE = 256 * 1024 * 1024


class CorpusUnreadable(Exception):  # noqa: N818 - named after what is wrong, as the other refusals are
    """There is no corpus, or a line is no case; the text says where, what, and what to do."""


@dataclass(slots=True)
class Corpus:
    """The cases of a directory, one after the other. `total` and `done` are in bytes, for a progress bar."""

    directory: Path
    total: int = 0
    done: int = 0
    _paths: dict[Path, bool] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `CorpusUnreadable` where a file is missing."""
        self._paths = {self.directory / name: clean for name, clean in _FILES.items()}
        for path in self._paths:
            if not path.is_file():
                raise CorpusUnreadable(
                    f"{path}: no such file; a corpus has {' and '.join(_FILES)}, either may be empty"
                )
            self.total += path.stat().st_size

    def cases(self) -> Iterator[Case]:
        """Raises `CorpusUnreadable`, OSError."""
        self.done = 0
        for path, clean in self._paths.items():
            with path.open("rb") as file:
                number = 0
                while line := file.readline(_LONGEST_LINE):
                    number += 1
                    self.done += len(line)
                    if line.strip():
                        yield _case(path, number, line, clean=clean)


def _case(path: Path, number: int, line: bytes, *, clean: bool) -> Case:
    try:
        return read_case(line.decode(), clean=clean)
    except UnicodeDecodeError:
        raise CorpusUnreadable(f"{path}, line {number}: it is not UTF-8; {_MEND}") from None
    except CaseInvalid as problem:
        raise CorpusUnreadable(f"{path}, line {number}: {problem}; {_MEND}") from None


_MEND = "mend the line, or take it out"
