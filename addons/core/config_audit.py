"""The section of `ddgate.yaml` about the audit log: who witnesses it, and how long its texts stay."""

from __future__ import annotations

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from addons.core.config_sections import FileName, Url
from addons.core.quantities import Duration
from addons.core.transparency.signed_note import KeyAlgorithm, NoteInvalid, VerifierKey
from addons.core.yaml_source import Section, complaint

_DAY = 86400.0


def _witness_key(text: str) -> str:
    try:
        key = VerifierKey.parse(text)
    except NoteInvalid as error:
        raise complaint(f"is no witness's key: {error}", "copy what `ddgate witness key` prints") from None
    if key.algorithm is not KeyAlgorithm.COSIGNATURE:
        raise complaint("is a log's key, not a witness's", "copy what `ddgate witness key` prints")
    return text


class Witness(Section):
    """Another machine that cosigns the log's checkpoints: `ddgate witness serve`, or another after
    c2sp.org/tlog-witness.
    """

    url: Url
    """What comes before `/add-checkpoint`."""
    key: Annotated[str, AfterValidator(_witness_key)]
    """Its public key, `name+12345678+base64`."""
    ca: FileName | None = None
    """PEM bundle of the CA that signs the witness's own TLS certificate; without it the public ones."""


class Audit(Section):
    """The audit log."""

    witnesses: tuple[Witness, ...] = ()
    retention: Annotated[Duration, Field(ge=_DAY)] | None = None
    """How long the texts of records stay; their hashes stay for ever. Without it the texts do, too."""

    @model_validator(mode="after")
    def _apart(self) -> Self:
        names = {VerifierKey.parse(one.key).name for one in self.witnesses}
        if len(names) != len(self.witnesses):
            raise complaint("two witnesses have the same name", "give each its own: witness serve --name")
        return self
