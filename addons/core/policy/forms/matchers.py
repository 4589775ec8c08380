"""The form of what a rule asks of a value: globs, or a comparison."""

from __future__ import annotations

import re
from typing import Annotated, Self

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Discriminator,
    Field,
    PlainValidator,
    Tag,
    WithJsonSchema,
    field_validator,
    model_validator,
)

from addons.core.yaml_source import Section, complaint

_ID = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}", re.ASCII)

type Scalar = str | int | float | bool


def one_as_list(value: object) -> object:
    if not isinstance(value, (str, tuple, list)):
        raise complaint("has no value" if value is None else "must be a text or a list", "write a, or [a, b]")
    return (value,) if isinstance(value, str) else value


def _scalar(value: object) -> Scalar:
    if not isinstance(value, (str, int, float)):
        raise complaint(
            "must be one text, number, true or false", "to see if it is there, write absent: false"
        )
    return value


def _identifier(value: str) -> str:
    if not _ID.fullmatch(value):
        raise complaint("not an identifier", "lower-case letters, digits, '.', '_' and '-'; at most 64")
    return value


Text = Annotated[str, Field(min_length=1)]
Identifier = Annotated[
    str, AfterValidator(_identifier), WithJsonSchema({"type": "string", "pattern": f"^{_ID.pattern}$"})
]
_ExactValue = Annotated[Scalar, PlainValidator(_scalar, json_schema_input_type=Scalar)]
Texts = Annotated[tuple[Text, ...], Field(min_length=1), BeforeValidator(one_as_list)]
"""One or more texts, any of which may fit; `lists.NAME` stands for a named list."""


class PolicySection(Section):
    """A key without a value is an error as well: `op:` left empty would be a rule about every operation."""

    @field_validator("*", mode="before")
    @classmethod
    def _has_a_value(cls, value: object) -> object:
        if value is None:
            raise complaint("has no value", "write one, or leave the key out")
        return value


class Comparison(PolicySection):
    """What a value must be, and what its absence means.

    `absent: true` alone: it must not be there; `absent: false` alone: it must, whatever it is. Beside `is` or
    `in` it says whether a missing value fits; without it a missing value fits in deny and require_approval
    rules and not in allow rules.
    """

    absent: bool | None = None
    """Whether it fits where there is no such value."""
    is_: _ExactValue | None = Field(default=None, alias="is")
    """Exactly this; a number as a text is not that number."""
    in_: (
        Annotated[
            tuple[_ExactValue, ...],
            Field(min_length=1),
            BeforeValidator(one_as_list),
        ]
        | None
    ) = Field(default=None, alias="in")
    """Exactly one of these."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        self._check_one_test()
        return self

    def _check_one_test(self, *others: tuple[str, object]) -> None:
        given = [name for name, value in (("is", self.is_), ("in", self.in_), *others) if value is not None]
        if given == ["is", "in"]:
            raise complaint("has both is and in", "put all values into in")
        if len(given) > 1:
            raise complaint(f"has {' and '.join(given)}", "keep one test; write two rules for either")
        if self.absent is None and not given:
            choices = ", ".join(
                ["absent: true", "is: VALUE", "in: [VALUES]", *(f"{n}: [TEXTS]" for n, _ in others)]
            )
            raise complaint("says nothing", choices)


class DocumentComparison(Comparison):
    """Of a value in a JSON document. `any`, `all` and `none` are globs over the items of a list."""

    any_: Texts | None = Field(default=None, alias="any")
    """At least one item fits one of these."""
    all_: Texts | None = Field(default=None, alias="all")
    """The list has items, and every one fits one of these."""
    none_: Texts | None = Field(default=None, alias="none")
    """No item fits any of these."""

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        self._check_one_test(("any", self.any_), ("all", self.all_), ("none", self.none_))
        return self


def _form(value: object) -> str:
    return "[comparison]" if isinstance(value, (dict, Comparison)) else "[globs]"


Matcher = Annotated[
    Annotated[Texts, Tag("[globs]")] | Annotated[Comparison, Tag("[comparison]")], Discriminator(_form)
]
"""A glob, a list of globs, or a comparison."""
DocumentMatcher = Annotated[
    Annotated[Texts, Tag("[globs]")] | Annotated[DocumentComparison, Tag("[comparison]")],
    Discriminator(_form),
]
"""As a `Matcher`, of a value in a JSON document."""
