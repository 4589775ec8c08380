"""JSON Schema of a policy file, for editors: draft-07, the newest that yaml-language-server reads.

It is made of the forms that `policy check` reads with, and so can't fall behind them. Where a text is the
name of something (an operation, a tag, a detector), the names are listed, for completion, beside the form of
what else may stand there: a glob, or a named list. What no schema can say (that a list is there, that an
expression has the right types, that a rule can match at all) is left to `policy check`.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaValue
from pydantic_core import core_schema

from addons.core.model import Effect, Risk
from addons.core.policy.compiling.compile_head import METHODS
from addons.core.policy.compiling.operation_fits import UNKNOWN, OperationCatalogue
from addons.core.policy.conditions.limits import COUNTED_BY
from addons.core.policy.forms.document import PolicyDocument
from addons.core.policy.forms.matchers import one_as_list
from addons.core.quantities import format_duration
from addons.core.redact.detector_set import BUILT_IN

DRAFT = "http://json-schema.org/draft-07/schema#"

_DATE = r"^[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ].+)?$"
_HOURS = r"\s*[0-9]{1,2}:[0-9]{2}\s*-\s*[0-9]{1,2}:[0-9]{2}\s*"
_ALLOWANCE = r"^\s*[0-9]{1,12} ?/ ?[0-9]{1,9}(\.[0-9]{1,3})? ?(ms|s|m|h|d)\s*$"
_SIZE_TEST = r"^\s*(<=|>=|<|>)\s*[0-9]{1,15}(B|KiB|MiB|GiB|kB|MB|GB)?\s*$"
_TIME = r"^[0-9]{1,9}(\.[0-9]{1,3})? ?(ms|s|m|h|d)$"
_SOME_TIME = r"^(?=.*[1-9])[0-9]{1,9}(\.[0-9]{1,3})? ?(ms|s|m|h|d)$"
_GLOB_OR_LIST = {"type": "string", "pattern": r"[*?]|^lists\."}
_LIST = {"type": "string", "pattern": r"^lists\."}

# By model and field: what form a text has, beyond being one, and how an editor says so.
_PATTERNS = {
    ("Http", "size"): (_SIZE_TEST, "an operator and a size: <=64KiB"),
    ("Limit", "rate"): (_ALLOWANCE, "calls per time: 30/1m"),
    ("Limit", "quota"): (_ALLOWANCE, "calls per time: 500/1d"),
    ("Time", "hours"): (f"^{_HOURS}(,{_HOURS})*$", "08:00-18:00"),
    ("Time", "from"): (_DATE, "a date: 2026-12-31"),
    ("Time", "until"): (_DATE, "a date: 2026-12-31"),
    ("Given", "at"): (_DATE, "a date and time: 2026-03-02T10:00:00+01:00"),
    ("PolicyDocument", "observe_until"): (_DATE, "a date: 2026-12-31"),
    ("Approval", "hold"): (_TIME, "a time: 5m"),
    # longer than nothing
    ("TimeToLive", "pending"): (_SOME_TIME, "a time: 30m"),
    ("TimeToLive", "grant"): (_SOME_TIME, "a time: 10m"),
    ("BreakGlass", "review_within"): (_SOME_TIME, "a time: 24h"),
}
# And of which names it is one.
_NAMES = {
    ("Op", "name"): "OperationOrGlob",
    ("Op", "tags"): "TagOrGlob",
    ("Op", "risk"): "RiskOrGlob",
    ("Op", "version"): "VersionOrGlob",
    ("Http", "method"): "MethodOrList",
    ("Masking", "detect"): "Detector",
    ("Limit", "key"): "CountedBy",
    ("Given", "op"): "OneOperation",
    ("PolicyDocument", "lists"): "Listed",
}


def _needs_one_of(*keys: str) -> JsonSchemaValue:
    return {"anyOf": [{"required": [key]} for key in keys]}


def _excluding(*keys: str) -> JsonSchemaValue:
    """At most one of these keys. A property that is `false` gets a clearer complaint than a `not`."""
    return {
        "dependencies": {
            key: {"properties": {other: False for other in keys if other != key}} for key in keys
        }
    }


def _if(key: str, value: str, then: JsonSchemaValue, otherwise: JsonSchemaValue) -> JsonSchemaValue:
    return {"if": {"properties": {key: {"const": value}}, "required": [key]}, "then": then, "else": otherwise}


# What the fields of a model ask of each other; their validators say the same.
_BETWEEN_FIELDS: Mapping[str, tuple[JsonSchemaValue, ...]] = {
    "Limit": (_needs_one_of("rate", "quota"),),
    "Op": (_needs_one_of("name", "tags", "risk", "version"),),
    "Masking": (_needs_one_of("detect", "json"),),
    "Time": (_needs_one_of("days", "hours", "from", "until"),),
    "Comparison": (_needs_one_of("absent", "is", "in"), _excluding("is", "in")),
    "DocumentComparison": (
        _needs_one_of("absent", "is", "in", "any", "all", "none"),
        _excluding("is", "in", "any", "all", "none"),
    ),
    "Rule": (
        _if("effect", Effect.DENY, {"properties": {"credential": False, "mask": False, "limit": False}}, {}),
        _if(
            "effect",
            Effect.REQUIRE_APPROVAL,
            {"required": ["approval"]},
            {"properties": {"approval": False}},
        ),
        # said of the rule: said of `op`, it would stand before what `op` is when an editor explains that
        _if(
            "effect",
            Effect.ALLOW,
            {"not": {"required": ["op"], "properties": {"op": {"required": ["absent"]}}}},
            {"properties": {"record": False}},
        ),
    ),
    "PolicyDocument": (
        _if("profile", "observe", {"required": ["observe_until"]}, {"properties": {"observe_until": False}}),
    ),
}


def policy_schema(catalogue: OperationCatalogue, detectors: frozenset[str] | None = None) -> JsonSchemaValue:
    """Make the schema, with the catalogue's operations, tags and versions, and the names of `detectors` (else
    the built-in ones).
    """
    whole = PolicyDocument.model_json_schema(
        by_alias=True, ref_template="#/definitions/{model}", schema_generator=_Forms
    )
    models = {**whole.pop("$defs"), "PolicyDocument": whole}
    for (model, field), (pattern, like) in _PATTERNS.items():
        form = {"type": "string", "pattern": pattern, "patternErrorMessage": f"Write it like {like}."}
        _change_texts(models, model, field, form)
    for (model, field), name in _NAMES.items():
        _change_texts(models, model, field, _ref(name))
    for model, conditions in _BETWEEN_FIELDS.items():
        models[model]["allOf"] = list(conditions)
    document = models.pop("PolicyDocument")
    return {
        "$schema": DRAFT,
        **document,
        "definitions": {**models, **_names(catalogue, detectors or BUILT_IN.names())},
    }


def schema_text(catalogue: OperationCatalogue, detectors: frozenset[str] | None = None) -> str:
    """The schema as `policies/schema.json` has it."""
    return json.dumps(policy_schema(catalogue, detectors), indent=1) + "\n"


def _names(catalogue: OperationCatalogue, detectors: frozenset[str]) -> dict[str, JsonSchemaValue]:
    """What names there are: each list stands once, and is referred to."""
    names = sorted(catalogue.names())
    found = {name: catalogue.by_name(name) for name in names}
    versions = sorted({operation.version for operations in found.values() for operation in operations})
    ambiguous = [name for name, operations in found.items() if len(operations) > 1]
    # the lists are long, and an editor would show them whole
    no_operation = "Not one of Datadog's operations; `ddgate policy check` names the nearest."
    ambiguity = "An operation in several versions: write v1. or v2. before it."
    no_tag = "Not a tag of Datadog's operations; `ddgate policy check` names the nearest."
    no_detector = "Not a detector; `ddgate policy check` names the nearest."
    return {
        "Operation": _one_of([UNKNOWN, *found], no_operation),
        "OneOperation": {
            "allOf": [
                _ref("Operation"),
                # as `not`, editors would have no words for it
                {"if": {"enum": ambiguous}, "then": {"pattern": r"^v1\.", "patternErrorMessage": ambiguity}},
            ]
        },
        "Tag": _one_of(sorted(catalogue.tags()), no_tag),
        "Risk": _one_of([risk.value for risk in Risk]),
        "OperationOrGlob": _any_of(_ref("Operation"), _GLOB_OR_LIST),
        "TagOrGlob": _any_of(_ref("Tag"), _GLOB_OR_LIST),
        "RiskOrGlob": _any_of(_ref("Risk"), _GLOB_OR_LIST),
        "Listed": _any_of(
            *(_ref(name) for name in ("Operation", "Tag", "Risk")),
            {"type": "string", "minLength": 1},
        ),
        "VersionOrGlob": _any_of(_one_of(versions), _GLOB_OR_LIST),
        "MethodOrList": _any_of(_one_of(list(METHODS)), _LIST),
        "Detector": _one_of(sorted(detectors), no_detector),
        "CountedBy": _any_of(
            _one_of(list(COUNTED_BY)), {"type": "string", "pattern": r"^identity\.claims\.."}
        ),
    }


def _one_of(names: list[str], complaint: str = "") -> JsonSchemaValue:
    return {"type": "string", "enum": names} | ({"errorMessage": complaint} if complaint else {})


def _any_of(*choices: JsonSchemaValue) -> JsonSchemaValue:
    return {"anyOf": list(choices)}


def _ref(name: str) -> JsonSchemaValue:
    return {"$ref": f"#/definitions/{name}"}


def _change_texts(
    models: dict[str, JsonSchemaValue], model: str, field: str, replacement: JsonSchemaValue
) -> None:
    """Replace what a field says of its text, or of the texts in its lists."""
    properties = models[model]["properties"]
    properties[field] = _changed(properties[field], replacement)


def _changed(schema: JsonSchemaValue, replacement: JsonSchemaValue) -> JsonSchemaValue:
    if schema.get("type") == "string":
        return replacement | {key: schema[key] for key in ("description", "default") if key in schema}
    changed = dict(schema)
    if "anyOf" in schema:
        changed["anyOf"] = [_changed(choice, replacement) for choice in schema["anyOf"]]
    if "items" in schema:
        changed["items"] = _changed(schema["items"], replacement)
    if "patternProperties" in schema:
        inner = schema["patternProperties"].items()
        changed["patternProperties"] = {pattern: _changed(value, replacement) for pattern, value in inner}
    return changed


class _Forms(GenerateJsonSchema):
    """Pydantic's own, for what the forms do beyond types: one text for a list of one, no null, no titles."""

    def function_before_schema(self, schema: core_schema.BeforeValidatorFunctionSchema) -> JsonSchemaValue:
        inner = super().function_before_schema(schema)
        if schema["function"]["function"] is not one_as_list:
            return inner
        item = inner["items"]
        return {"anyOf": [item if item.get("type") == "string" else {"type": "string"}, inner]}

    def nullable_schema(self, schema: core_schema.NullableSchema) -> JsonSchemaValue:
        return self.generate_inner(schema["schema"])

    def tagged_union_schema(self, schema: core_schema.TaggedUnionSchema) -> JsonSchemaValue:
        choices = super().tagged_union_schema(schema)["oneOf"]
        return {"anyOf": [inner for choice in choices for inner in choice.get("anyOf", [choice])]}

    def default_schema(self, schema: core_schema.WithDefaultSchema) -> JsonSchemaValue:
        made = super().default_schema(schema)
        default = made.pop("default", None)
        if default is None or isinstance(default, (dict, list)):  # an editor would write it all out
            return made
        return {**made, "default": format_duration(default) if isinstance(default, float) else default}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        return {**made, "additionalProperties": False} if "patternProperties" in made else made

    def field_title_should_be_set(self, _schema: object) -> bool:
        return False
