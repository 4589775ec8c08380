"""Bodies with something in them, and the two ways that must mask the same in each: the quick one (gate,
second look, elements alone) and one that reads all of every body.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from urllib.parse import quote

from hypothesis import strategies as st

from addons.core.redact.detectors.table import DETECTORS
from addons.core.redact.masking.mask import Masker
from addons.core.redact.reading.scan import Scanner
from addons.core.redact.screening.gate import EVERYWHERE, Hits
from addons.core.redact.scrubber import Scrubber
from tests.bench import redaction_bodies as bodies

MADE = (bodies.logs, bodies.series, bodies.monitors, bodies.events)
CLEAN = [made(900).decode() for made in MADE]
PAD = {"pad": " ".join(made(1500)[500:1500].decode() for made in MADE)}  # so that elements are read alone
ENCODINGS: dict[str, Callable[[str], str]] = {
    "plain": lambda text: text,
    "base64": lambda text: base64.b64encode(f"before {text} and after".encode()).decode(),
    "base64url": lambda text: base64.urlsafe_b64encode(f"before {text} and after".encode()).decode(),
    "hex": lambda text: f"before {text} and after".encode().hex(),
    "percent": quote,
    "all percent": lambda text: "".join(f"%{byte:02x}" for byte in text.encode()),
    "unicode escapes": lambda text: "".join(f"\\u{ord(each):04x}" for each in text),
    "entities": lambda text: "".join(f"&#{ord(each)};" for each in text),
    "json": lambda text: json.dumps({"inner": text}),
    "gzip": lambda text: base64.b64encode(gzip.compress(f"before {text}".encode() * 3, mtime=0)).decode(),
    "utf-16": lambda text: base64.b64encode(f"before {text} after".encode("utf-16-le")).decode(),
    "line after line": lambda text: f"one\nline {text}\r\nanother",
}
# Long enough that what surrounds a place is told from the whole.
PLACES: list[Callable[[str], object]] = [
    lambda text: {"message": f"x {text} y"},
    lambda text: {"message": text},
    lambda text: {"id": text, "other": "abc"},
    lambda text: {"list": ["a", text[:-6], text[-6:]]},  # no gate sees a prefix that is cut in two
    lambda text: {"list": [text, "b"]},
    lambda text: [text],
    lambda text: text,
    lambda text: {text[:40]: 1},
    lambda text: {"name": "note", "value": {"stringValue": text}},
    lambda text: {"password": text[:30]},
    lambda text: {"credentials": {"shop": {"x": text}}},
    lambda text: {"a": [{"b": {"c": [{"d": f"({text})"}]}}]},
]
NEARLY = [example for each in DETECTORS for example in (*each.counterexamples, *each.examples)]


class _Open:
    """A gate that stands open, so that everything is looked at."""

    def hits(self, _text: bytes) -> Hits:
        return EVERYWHERE


@dataclass(frozen=True, slots=True)
class Ways:
    """Both, with the same detectors and the same key."""

    quick: Scrubber
    thorough: Scrubber

    def agree_on(self, body: bytes) -> None:
        fast, slow = (each.scrub_body(body, "application/json") for each in (self.quick, self.thorough))
        assert fast.data == slow.data
        assert fast.findings == slow.findings


def both_ways() -> Ways:
    quick, thorough = (Scanner(DETECTORS, by_name=True) for _ in range(2))
    quick.gate._database = quick.gate.compile()
    thorough.gate = _Open()  # type: ignore[assignment] # all of a gate that is asked for
    return Ways(*(Scrubber(Masker(b"k" * 32), scanner=scanner) for scanner in (quick, thorough)))


def _body(
    clean: str,
    secrets: list[tuple[str, list[str], Callable[[str], object]]],
    order: Random,
    in_lines: bool,
) -> bytes:
    read = json.loads(clean)
    rows = [PAD, *(read if isinstance(read, list) else read.get("data") or read["series"])]
    rows += [place(_encoded(text, encodings)) for text, encodings, place in secrets]
    order.shuffle(rows)
    return "\n".join(map(json.dumps, rows)).encode() if in_lines else json.dumps({"data": rows}).encode()


def _encoded(text: str, encodings: list[str]) -> str:
    for name in encodings:
        text = ENCODINGS[name](text)
    return text


planted = st.tuples(
    st.sampled_from(NEARLY),
    st.lists(st.sampled_from(sorted(ENCODINGS)), min_size=1, max_size=2),
    st.sampled_from(PLACES),
)
bodies_with_secrets = st.builds(
    _body, st.sampled_from(CLEAN), st.lists(planted, max_size=3), st.randoms(), st.booleans()
)
