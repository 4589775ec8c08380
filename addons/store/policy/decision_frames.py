"""What a gateway process and its decision worker say to each other, over `worker_process`.

A question is the pickled `Question` (or `Hello`) and a body as it is, an answer is pickled. The gateway
unpickles nothing but the classes of an answer: a worker reads hostile documents with C++ code, and must not
be able to say more than its verdict.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from copyreg import dispatch_table
from dataclasses import dataclass
from types import MappingProxyType

from addons.core.approvals.needs import BreakGlass, Needs
from addons.core.model import Effect, Reason
from addons.core.policy.compiling.operation_fits import OperationCatalogue
from addons.core.policy.request import (
    Allowance,
    Decision,
    LimitUse,
    LogLevel,
    Masks,
    PolicyRequest,
    Reads,
    Recording,
    ShadowHit,
)

MAX_ANSWER = 1 << 20


@dataclass(frozen=True, slots=True)
class Hello:
    """What the worker makes its policy set of. `memory` is what it may take beyond that, in bytes; `seconds`
    is how long it may think about one call before it ends itself.
    """

    files: tuple[tuple[str, str], ...]
    catalogue: OperationCatalogue
    detectors: frozenset[str]
    memory: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Question:
    """One call, without its body, which follows as bytes."""

    request: PolicyRequest
    content_type: str | None


@dataclass(frozen=True, slots=True)
class Ready:
    """The worker holds the set with this digest."""

    digest: str


@dataclass(frozen=True, slots=True)
class Failed:
    """The worker could not answer; `why` names no value of the call."""

    why: str


type Answer = Ready | Failed | Reads | Decision

_VERDICTS = (
    *(Decision, Effect, Reason, Masks, LimitUse, Allowance, ShadowHit, LogLevel, Recording, Needs),
    BreakGlass,
)
_ANSWERS = (Ready, Failed, Reads, *_VERDICTS)
_ANSWER_CLASSES = {(one.__module__, one.__qualname__): one for one in _ANSWERS}


class _AnswerUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> object:
        found = _ANSWER_CLASSES.get((module, name))
        if found is None:
            raise pickle.UnpicklingError("not a class of an answer")
        return found


def read_only(items: dict[object, object]) -> Mapping[object, object]:
    return MappingProxyType(items)


def dump(message: Hello | Question | Answer) -> bytes:
    """Pickle; also the read-only mappings of a principal's claims, which pickle itself refuses."""
    file = io.BytesIO()
    pickler = pickle.Pickler(file, protocol=5)
    pickler.dispatch_table = {
        **dispatch_table,
        MappingProxyType: lambda mapping: (read_only, (dict(mapping),)),
    }
    pickler.dump(message)
    return file.getvalue()


def load_answer(data: bytes) -> Answer:
    """Raises ValueError where it is none."""
    try:
        answer = _AnswerUnpickler(io.BytesIO(data)).load()
    except Exception:  # noqa: BLE001 - pickle raises nearly anything on bytes that are no pickle
        raise ValueError("not an answer") from None
    if not isinstance(answer, Ready | Failed | Reads | Decision):
        raise ValueError("not an answer")  # noqa: TRY004 - what is wrong is the value that came
    return answer
