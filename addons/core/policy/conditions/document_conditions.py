"""Conditions on the request's JSON body, and on the resource as Datadog holds it."""

from __future__ import annotations

from collections.abc import Callable, Collection

from addons.core.model import Effect, Json
from addons.core.policy.conditions.field_paths import FieldPath, MisspeltKey
from addons.core.policy.conditions.globs import TextTest, compile_globs
from addons.core.policy.forms.matchers import Scalar
from addons.core.policy.request import Evidence, PolicyRequest, Reads, Unreadable
from addons.core.policy.rules import Fit, RuleError, UnreadableEvidence


class JsonTest:
    """A compiled matcher of a value in a JSON document. All that is given has to fit.

    `globs` fit text. `is_` and `in_` are exact: `1` and `1.0` are one number, as they are in JSON, and
    neither is `true` or `"1"`. `any_`, `all_` and `none_` are globs over the items of a list, which is what
    Datadog's tags are: it takes `ENV:Prod ` for `env:prod`. So they read each item as it stands and as
    Datadog may; to allow, both readings have to fit, to deny or to ask, one is enough. `absent` is as in a
    `Comparison`.
    """

    def __init__(  # noqa: PLR0913 - a matcher's own fields
        self,
        *,
        globs: Collection[str] | None = None,
        is_: Scalar | None = None,
        in_: Collection[Scalar] | None = None,
        any_: Collection[str] | None = None,
        all_: Collection[str] | None = None,
        none_: Collection[str] | None = None,
        absent: bool | None = None,
    ) -> None:
        self.absent = absent
        self._value_tests = [
            *([] if globs is None else [_glob_test(globs)]),
            *([] if is_ is None else [_exact_test([is_])]),
            *([] if in_ is None else [_exact_test(in_)]),
        ]
        self._list_tests = [
            (make(compile_globs(globs)), make(compile_globs([_tag(glob) for glob in globs])))
            for make, globs in ((_any_test, any_), (_all_test, all_), (_none_test, none_))
            if globs is not None
        ]

    def accepts(self, value: Json, effect: Effect) -> bool:
        """Test a value that is there, so not null.

        Raises:
            RuleError: the rule compares one value and this is a list or an object, or it looks into a list
                of texts and this is none.

        """
        if not self._value_tests and not self._list_tests:
            return self.absent is not True
        return self._accepts_list(value, effect) and self._accepts_scalar(value)

    def _accepts_list(self, value: Json, effect: Effect) -> bool:
        if not self._list_tests:
            return True
        if not isinstance(value, list):
            raise RuleError("any, all and none look into a list, and this is none")
        texts = [item for item in value if isinstance(item, str)]
        if len(texts) != len(value):
            raise RuleError("an item of the list is not text")
        tags = [_tag(text) for text in texts]
        settle = all if effect is Effect.ALLOW else any
        return all(settle((as_it_stands(texts), as_tags(tags))) for as_it_stands, as_tags in self._list_tests)

    def _accepts_scalar(self, value: Json) -> bool:
        if not self._value_tests:
            return True
        if isinstance(value, (list, dict)):
            raise RuleError("a list or an object, where the rule compares one value")
        return all(test(value) for test in self._value_tests)

    def without_value(self, effect: Effect) -> Fit:
        """How a document fits that lacks the value, or has null for it."""
        if self.absent is not None:
            return Fit.YES if self.absent else Fit.NO
        return {Effect.ALLOW: Fit.NO, Effect.DENY: Fit.LACKING, Effect.REQUIRE_APPROVAL: Fit.YES}[effect]


def _tag(text: str) -> str:
    return text.strip().casefold()


def _glob_test(globs: Collection[str]) -> Callable[[Json], bool]:
    fits = compile_globs(globs)
    return lambda value: isinstance(value, str) and fits(value)


def _exact_test(wanted: Collection[Scalar]) -> Callable[[Json], bool]:
    # True == 1 in Python, and neither in JSON nor in a policy
    accepted = frozenset((isinstance(each, bool), each) for each in wanted)
    return lambda value: not isinstance(value, (list, dict)) and (isinstance(value, bool), value) in accepted


def _any_test(fits: TextTest) -> Callable[[list[str]], bool]:
    return lambda texts: any(map(fits, texts))


def _all_test(fits: TextTest) -> Callable[[list[str]], bool]:
    return lambda texts: bool(texts) and all(map(fits, texts))


def _none_test(fits: TextTest) -> Callable[[list[str]], bool]:
    return lambda texts: not any(map(fits, texts))


def document_condition(
    path: FieldPath, test: JsonTest, effect: Effect, reads: Reads
) -> Callable[[PolicyRequest], Fit]:
    """Fit on what `path` names in the document that `reads` says.

    Where that is several values, to allow, every one has to fit and none may lack; to deny or to ask, one is
    enough. The condition raises `UnreadableEvidence` for a document that can't be read, and `RuleError` for
    one that nobody looked at, that spells the path's keys in another case, or holds what the test can't
    compare; and where a missing value opens something, for a list in place of an object on the way, or the
    reverse.
    """
    lacking = test.without_value(effect)
    settle = min if effect is Effect.ALLOW else max
    # whether leaving the value out helps the caller: then it must be missing for certain
    opens = (lacking is Fit.NO) is not (effect is Effect.ALLOW)
    name = f"{reads}{path.text}" if path.text.startswith("[") else f"{reads}.{path.text}"

    def condition(request: PolicyRequest) -> Fit:
        document = _document(request, reads)
        try:
            found = path.values(document)
            # every value is tested, also past the one that settles it: an error is never passed over
            fits = [Fit.YES if test.accepts(value, effect) else Fit.NO for value in found.values]
        except (MisspeltKey, RuleError) as error:
            raise RuleError(f"{name}: {error}") from None
        if found.misshapen and opens:
            raise RuleError(f"{name}: the document is of another shape on the way there")
        if found.lacking:
            fits.append(lacking)
        return settle(fits)

    return condition


def _document(request: PolicyRequest, reads: Reads) -> Json:
    evidence: Evidence | None = request.body if reads is Reads.BODY else request.target
    if evidence is None:
        raise RuleError(f"the {reads} was not looked at")
    if isinstance(evidence, Unreadable):
        raise UnreadableEvidence(reads, evidence.why)
    return evidence.value
