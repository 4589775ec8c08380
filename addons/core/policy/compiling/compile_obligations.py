"""What a rule that matches brings along: masks, limits, and the people who have to say yes."""

from __future__ import annotations

from addons.core.approvals.needs import BreakGlass, Needs, added_up
from addons.core.policy.compiling.policy_file import PolicyFile
from addons.core.policy.conditions.limits import Limit
from addons.core.policy.forms import rule_document
from addons.core.policy.request import Masks
from addons.core.redact.formats.json_paths import BadJsonPath, parse_json_path
from addons.core.yaml_source import Path, did_you_mean

_NO_DETECTOR = "secrets, pii, a detector's name, or one of a file that the configuration has under redaction"


def compile_masks(file: PolicyFile, path: Path, rule: rule_document.Rule) -> tuple[Masks, Masks]:
    """Compile the masks of the request that is forwarded, and of the answer."""
    mask = rule.mask or rule_document.Mask()
    return (
        _masks(file, (*path, "mask", "forward"), mask.forward),
        _masks(file, (*path, "mask", "response"), mask.response),
    )


def _masks(file: PolicyFile, path: Path, masking: rule_document.Masking | None) -> Masks:
    if masking is None:
        return Masks()
    for index, name in enumerate(masking.detect or ()):
        if name not in file.detectors:
            remedy = did_you_mean(name, file.detectors) or _NO_DETECTOR
            file.add((*path, "detect", index), f"no detector is called {name!r}", remedy)
    for index, text in enumerate(masking.json_ or ()):
        try:
            parse_json_path(text)
        except BadJsonPath as bad:
            file.add((*path, "json", index), bad.message, bad.remedy)
    return Masks(frozenset(masking.detect or ()), frozenset(masking.json_ or ()))


def compile_limits(file: PolicyFile, path: Path, rule: rule_document.Rule) -> tuple[Limit, ...]:
    found = []
    for index, name in enumerate(rule.limit or ()):
        limit = file.limits.get(name)
        if limit is None:
            remedy = did_you_mean(name, file.limits) or "add it under limits:"
            file.add((*path, "limit", index), f"no limit is called {name!r}", remedy)
        else:
            found.append(limit)
    return tuple(found)


def compile_needs(rule: rule_document.Rule) -> Needs | None:
    approval = rule.approval
    if approval is None:
        return None
    glass = approval.break_glass
    return added_up(
        Needs(
            groups=((need.group, need.count),),
            reason_required=approval.reason == "required",
            pending=approval.ttl.pending,
            grant=approval.ttl.grant,
            hold=approval.hold,
            break_glass=BreakGlass((glass.group,), glass.review_within) if glass is not None else None,
        )
        for need in approval.need
    )
