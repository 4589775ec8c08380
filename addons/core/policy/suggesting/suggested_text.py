"""A suggested policy as a file: rules with what they rest on, tests beside them, and what was left out."""

from __future__ import annotations

import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from addons.core.model import Operation
from addons.core.policy.backtesting import Tally
from addons.core.policy.compiling.operation_fits import OperationCatalogue
from addons.core.policy.conditions.globs import is_pattern
from addons.core.policy.request import Decision
from addons.core.policy.suggesting.sightings import MAX_EXAMPLES, Use, Who
from addons.core.policy.suggesting.suggest import Grantee, Kind, Proposal

_WIDTH = 108
_NAMED = 4
_PLAIN = re.compile(r"[A-Za-z][A-Za-z0-9_-]*(?:\.[A-Za-z0-9_-]+)*", re.ASCII)
_NOT_TEXT = frozenset({"true", "false", "null"})
_OTHERS = "another-team"
_STRANGER = "somebody-else"
_MASK = {
    Kind.READ: "{response: {detect: [secrets]}}",
    Kind.SEND: "{forward: {detect: [secrets]}}",
    Kind.WRITE: "{response: {detect: [secrets]}}",
    Kind.ASK: "{response: {detect: [secrets]}}",
}
_ASK_REASON = "It destroys, sets something off or hands data out; a person decides."

type ShowTime = Callable[[float], str]


@dataclass(frozen=True, slots=True)
class Case:
    """A test to write: `given` in YAML."""

    name: str
    given: str


@dataclass(frozen=True, slots=True)
class Writer:
    """`approvers` is the group that is asked; `show_time` writes a time for a person."""

    catalogue: OperationCatalogue
    approvers: str
    show_time: ShowTime

    def text(
        self,
        heading: Sequence[str],
        proposals: Sequence[Proposal],
        cases: Sequence[tuple[Case, Decision | None]],
        left_out: Mapping[tuple[str, str], Tally],
    ) -> str:
        """Write the file. A case without a decision expects nothing that would hold."""
        lines = [*_comment("", *heading), "", "version: 1", "defaults: {effect: deny}", ""]
        lines.append("rules:" if proposals else "rules: []")
        for proposal in proposals:
            lines += [*self._rule(proposal), ""]
        if cases:
            lines += ["tests:", *(line for case in cases for line in _test(*case)), ""]
        if left_out:
            lines += self._left_out(left_out)
        return "\n".join(lines).rstrip("\n") + "\n"

    def cases(self, proposal: Proposal) -> Iterator[Case]:
        """A call that fits, and for each thing that the rule asks one that misses it alone."""
        operation, grantee = self._name(proposal.operations[0]), proposal.grantee
        body = ", body: {}" if any("body" in each for each in proposal.when) else ""

        def given(more: str = "", *, group: str | None = grantee.group, subject: str | None = None) -> str:
            subject = subject or (grantee.subjects[0] if grantee.subjects else None)
            fields = [f"groups: [{_scalar(group)}]"] if group is not None else []
            fields += [f"subject: {_scalar(subject)}"] if subject is not None else []
            fields += [f"issuer: {_scalar(grantee.issuer)}"] if grantee.issuer else []
            return f"{{who: {{{', '.join(fields)}}}, op: {operation}{more or body}}}"

        yield Case(f"{proposal.id} fits", given())
        if grantee.group is not None:
            yield Case(f"{proposal.id} is for its group alone", given(group=_OTHERS))
        if grantee.subjects:
            yield Case(f"{proposal.id} is for those it names", given(subject=_STRANGER))
        if any("request.query" in each for each in proposal.when):
            more = f"{body}, query: {{never-seen: '1'}}"
            yield Case(f"{proposal.id} takes no other parameters", given(more))
        if body and any("body.all" in each for each in proposal.when):
            more = ", body: {never-seen: 1}"
            yield Case(f"{proposal.id} takes no other fields", given(more))

    def _rule(self, proposal: Proposal) -> Iterator[str]:
        uses = [each for by_who in proposal.uses.values() for each in by_who.items()]
        yield from _comment("  ", self._evidence(uses))
        if proposal.tags:
            seen = f"{len(proposal.operations)} of their operations are in use, more than half of each family"
            names = ", ".join(self._name(each) for each in proposal.operations)
            yield from _comment("  ", f"{seen}: {names}")
        yield from _comment("  ", *proposal.notes)
        yield f"  - id: {proposal.id}"
        yield f"    effect: {'require_approval' if proposal.kind is Kind.ASK else 'allow'}"
        yield f"    who: {_who(proposal.grantee)}"
        yield from self._op(proposal)
        if proposal.when:
            yield "    when: |-"
            for index, each in enumerate(proposal.when):
                yield f"      {'&& ' if index else ''}{each}"
        if proposal.kind is Kind.ASK:
            yield f"    approval: {{need: [{{group: {_scalar(self.approvers)}, count: 1}}]}}"
            yield f"    reason: {_ASK_REASON}"
        yield f"    mask: {_MASK[proposal.kind]}"

    def _op(self, proposal: Proposal) -> Iterator[str]:
        if proposal.tags:
            yield f"    op: {{tags: [{', '.join(map(_scalar, proposal.tags))}], risk: [read]}}"
            return
        if len(proposal.operations) == 1:
            yield f"    op: {{name: [{self._name(proposal.operations[0])}]}}"
            return
        yield "    op:"
        yield "      name:"
        width = max(len(self._name(each)) for each in proposal.operations)
        for operation in proposal.operations:
            uses = proposal.uses[operation.version, operation.name]
            calls = sum(use.occasions.calls for use in uses.values())
            yield f"        - {self._name(operation):<{width}}  # {_calls(calls)} by {_subjects(uses)}"

    def _evidence(self, uses: Sequence[tuple[Who, Use]]) -> str:
        calls = sum(use.occasions.calls for _, use in uses)
        days = set[int]().union(*(use.occasions.days for _, use in uses))
        when = self._between(min(use.first for _, use in uses), max(use.last for _, use in uses))
        examples = [example for _, use in uses for example in use.examples][:MAX_EXAMPLES]
        by_whom = _subjects(who for who, _ in uses)
        return (
            f"{_calls(calls)} on {_days(len(days))} by {by_whom}; {when}; for example {', '.join(examples)}"
        )

    def _left_out(self, left_out: Mapping[tuple[str, str], Tally]) -> Iterator[str]:
        yield from _comment("", "Left out: none of this is let through by the rules above.")
        for why in sorted({why for why, _ in left_out}):
            yield "#"
            yield from _comment("", f"{why}:")
            tallies = [(name, tally) for (reason, name), tally in left_out.items() if reason == why]
            for name, tally in sorted(tallies, key=lambda each: (-each[1].calls, each[0])):
                when = self._between(tally.first, tally.last)
                told = f"{_calls(tally.calls)} by {_most(tally.identities)}; {when}; for example "
                examples = ", ".join(tally.examples[:MAX_EXAMPLES])
                yield from _comment("", f"{name}: {told}{examples}", inner="  ")

    def _between(self, first: float, last: float) -> str:
        begin, end = self.show_time(first), self.show_time(last)
        return begin if begin == end else f"{begin} to {end}"

    def _name(self, operation: Operation) -> str:
        if len(self.catalogue.by_name(operation.name)) == 1:
            return operation.name
        return f"{operation.version}.{operation.name}"


def _test(case: Case, decision: Decision | None) -> list[str]:
    expect = "effect: deny"
    if decision is not None:
        rule = f", rule: {decision.rule}" if decision.rule else ""
        expect = f"effect: {decision.effect}{rule}"
    return [f"  - name: {case.name}", f"    given: {case.given}", f"    expect: {{{expect}}}"]


def _who(grantee: Grantee) -> str:
    fields = [f"groups: {_matcher([grantee.group])}"] if grantee.group is not None else []
    if grantee.subjects:
        fields.append(f"subject: {_matcher(grantee.subjects)}")
    if grantee.issuer is not None:
        fields.append(f"issuer: {_matcher([grantee.issuer])}")
    return f"{{{', '.join(fields)}}}"


def _matcher(names: Iterable[str]) -> str:
    """Names as they are: where one could be read as a glob, for comparison."""
    names = list(names)
    listed = f"[{', '.join(map(_scalar, names))}]"
    return f"{{in: {listed}}}" if any(map(is_pattern, names)) else listed


def _scalar(text: str) -> str:
    if _PLAIN.fullmatch(text) and text.lower() not in _NOT_TEXT:
        return text
    return json.dumps(text, ensure_ascii=False)


def _comment(indent: str, *paragraphs: str, inner: str = "") -> Iterator[str]:
    for paragraph in paragraphs:
        yield from textwrap.wrap(
            _shown(paragraph),
            _WIDTH,
            initial_indent=f"{indent}# {inner}",
            subsequent_indent=f"{indent}# {inner}{inner}",
            break_long_words=False,
            break_on_hyphens=False,
        )


def _calls(count: int) -> str:
    return f"{count:,} calls" if count != 1 else "1 call"


def _days(count: int) -> str:
    return f"{count} days" if count != 1 else "1 day"


def _subjects(uses: Iterable[Who]) -> str:
    names = sorted({_shown(who.subject) for who in uses})
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _most(identities: Counter[str]) -> str:
    told = [f"{_shown(name)} ({count})" for name, count in identities.most_common(_NAMED)]
    more = f" and {len(identities) - _NAMED} more" if len(identities) > _NAMED else ""
    return ", ".join(told) + more


def _shown(name: str) -> str:
    return "".join(char if char.isprintable() else "?" for char in name)
