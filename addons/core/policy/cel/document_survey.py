"""What has to be known of a document before an expression is evaluated on it."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass

from addons.core.json_document import MAX_DEPTH, fold_key
from addons.core.model import Json

# A composed character stands for four at most, and `fold_key` makes one i of two characters.
_LONGER_SPELLING = 8
_LONGEST_FIELD = 256


class UnfitDocument(ValueError):  # noqa: N818 - named for what the caller is told
    """The document holds what JSON can't, or what CEL's text type would read as something else."""


@dataclass(frozen=True, slots=True)
class Survey:
    """`values` counts all of them, `most` the items of the largest list or object, `characters` those of all
    texts, `longest` those of the longest.
    """

    keys: frozenset[str]
    values: int
    most: int
    characters: int
    longest: int


def survey(document: Json) -> Survey:
    """Look at every value once.

    Raises:
        UnfitDocument: more than 64 levels (they would overflow the stack of the C++ that reads them), NUL (it
            would end a text there), half a surrogate pair, or a value that JSON doesn't have.

    """
    keys: set[str] = set()
    values = most = characters = longest = depth = 0
    level: list[Json] = [document]
    while level:
        if depth > MAX_DEPTH:
            raise UnfitDocument(f"it is nested more than {MAX_DEPTH} levels deep")
        depth += 1
        values += len(level)
        below: list[Json] = []
        for value in level:
            if isinstance(value, str):
                characters += len(value)
                longest = max(longest, len(value))
                if "\0" in value or not value.isascii():
                    check_text(value)
            elif isinstance(value, (dict, list)):
                most = max(most, len(value))
                below += _parts(value, keys)
            elif value is not None and not isinstance(value, (int, float)):
                raise UnfitDocument("it holds a value that is not JSON's")
        level = below
    for key in keys:
        if not isinstance(key, str):
            raise UnfitDocument("it has a key that is no text")
        check_text(key)
    return Survey(frozenset(keys), values, most, characters, longest)


def _parts(value: dict[str, Json] | list[Json], keys: set[str]) -> Iterable[Json]:
    if isinstance(value, dict):
        keys.update(value)
        return value.values()
    return value


def check_text(text: str) -> None:
    """Raises `UnfitDocument` for what C++ would cut off at, or has no form for."""
    if "\0" in text:
        raise UnfitDocument("it holds NUL")
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UnfitDocument("it holds half a surrogate pair") from None


def misspelt_key(document: Json, fields: Collection[str]) -> str | None:
    """Find one of `fields` that the document spells with other letters of the same meaning, as a key: in
    another case, or in another form of Unicode. A reader may take that key for the field.
    """
    return misspelling(survey(document).keys, fields)


def misspelling(keys: Iterable[str], fields: Collection[str]) -> str | None:
    """As `misspelt_key`, of a document's keys."""
    folded = {fold_key(field): field for field in fields if len(field) <= _LONGEST_FIELD}
    longest = _LONGER_SPELLING * max(map(len, folded), default=0)
    for key in keys:
        # folding costs the square of the length, and what is longer is no spelling of a field
        if key not in fields and len(key) <= longest and (found := folded.get(fold_key(key))) is not None:
            return found
    return None
