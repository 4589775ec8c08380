"""Masks what comes before a body: header fields and the target."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from http import HTTPStatus
from urllib.parse import quote

from addons.core.redact.masking.findings import TooComplex
from addons.core.redact.masking.mask import UNREAD
from addons.core.redact.scrubber import ScrubbedText, Scrubber
from addons.store.masking.bodies import Masking

type Fields = Sequence[tuple[bytes, bytes]]
type MaskedFields = tuple[list[tuple[bytes, bytes]], Mapping[str, int]]

_HERE = 2048  # bytes of a head that are masked while every other call waits
_MAX_CLEAN = 4096
_MAX_CLEAN_VALUE = 256
_MAX_UNREAD = 512
_MAX_HOST = 512
_PRINTABLE = "".join(chr(code) for code in range(0x21, 0x7F))


class HeadMasking:
    def __init__(self, scrubber: Scrubber, masking: Masking) -> None:
        self._scrubber = scrubber
        self._masking = masking
        # Fields without a finding: a client repeats most of them. One that holds a secret is never kept.
        self._clean: set[tuple[bytes, bytes]] = set()

    async def fields(self, fields: Fields, user: Hashable) -> MaskedFields:
        """Header fields in order, and what was found in them. Raises MaskingUnavailable."""
        new = sum(len(name) + len(value) for name, value in fields if (name, value) not in self._clean)
        if new <= _HERE:
            return self._scrub_fields(fields)
        return await self._masking.in_thread(user, lambda: self._scrub_fields(fields))

    async def target(self, target: str, user: Hashable) -> ScrubbedText:
        """A path and query in ASCII. Raises MaskingUnavailable."""
        if len(target) <= _HERE:
            return self.scrub_target(target)
        return await self._masking.in_thread(user, lambda: self.scrub_target(target))

    def scrub_target(self, target: str) -> ScrubbedText:
        """As `target`, at once."""
        try:
            return self._scrubber.scrub_url(target)
        except TooComplex:
            return unread_target(target)

    def scrub_host(self, host: str) -> str:
        """The name of a host that may be none, in ASCII and cut."""
        return self._scrubber.scrub_text(in_ascii(host)[:_MAX_HOST]).text

    def scrub_reason(self, reason: bytes, status: int) -> bytes:
        """A reason phrase; one that holds a secret gives way to the usual one, for it says nothing that the
        status does not (RFC 9112, section 4).
        """
        usual = _usual_reason(status)
        if reason == usual:
            return reason
        try:
            is_clean = not self._scrubber.scrub_text(reason.decode("latin-1")).changed
        except TooComplex:
            is_clean = False
        return reason if is_clean else usual

    def _scrub_fields(self, fields: Fields) -> MaskedFields:
        masked, findings = [], Counter[str]()
        for field in fields:
            if field in self._clean:
                masked.append(field)
                continue
            try:
                (done,), found = self._scrubber.scrub_headers([field])
            except TooComplex:
                done, found = (field[0], UNREAD.encode()), {"unread": 1}
            masked.append(done)
            findings.update(found)
            if done == field and not found and len(field[1]) <= _MAX_CLEAN_VALUE:
                if len(self._clean) >= _MAX_CLEAN:
                    self._clean.clear()
                self._clean.add(field)
        return masked, findings


def in_ascii(target: str) -> str:
    """A target as it came, its raw bytes escaped, so that every reader of JSON can read the record."""
    return quote(target.encode("utf-8", "surrogateescape"), safe=_PRINTABLE)


def _usual_reason(status: int) -> bytes:
    return HTTPStatus(status).phrase.encode() if status in HTTPStatus else b""


def unread_fields(fields: Fields) -> MaskedFields:
    return [(name, UNREAD.encode()) for name, _ in fields], {"unread": len(fields)}


def unread_target(target: str) -> ScrubbedText:
    return ScrubbedText(f"{target.partition('?')[0][:_MAX_UNREAD]}?{UNREAD}", {}, changed=True)
