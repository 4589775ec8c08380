"""Puts what Datadog answered into the form of what is sent to it.

Of many resources a GET shows the same in another wrapper than an update takes: JSON:API's
`{"data": {"attributes": …}}` on one side alone, `{"data": …, "errors": []}` about an SLO, `{"org": …}` about
an organisation. A field is compared with the one that it would replace.
"""

from __future__ import annotations

from collections.abc import Iterator

from addons.core.approvals.written import Written

_DATA, _ATTRIBUTES = "data", "attributes"
_ENVELOPE = frozenset({"id", "type"})


def in_form_of(body: Written, resource: Written) -> Written:
    """Give the part of `resource` that `body` has more fields in common with than with any other, in the form
    of `body`; the resource itself where no other is better.
    """
    if not isinstance(body, dict) or not isinstance(resource, dict):
        return resource
    attributes = _attributes(body)
    if attributes is not None and _attributes(resource) is None:
        inner = _best(attributes, resource)
        if not _shared(attributes, inner) or _shared(body, resource) > 1:
            return resource
        envelope = {key: value for key, value in inner.items() if key in _ENVELOPE - attributes.keys()}
        rest = {key: value for key, value in inner.items() if key not in envelope}
        return {_DATA: envelope | {_ATTRIBUTES: rest}}
    return _best(body, resource)


def attributes_path(body: Written) -> tuple[str, ...]:
    """The keys on the way to the fields of the resource in a document: those of JSON:API, or none."""
    return (_DATA, _ATTRIBUTES) if isinstance(body, dict) and _attributes(body) is not None else ()


def _best(body: dict[str, Written], resource: dict[str, Written]) -> dict[str, Written]:
    best = resource
    for view in views(resource):
        if _shared(body, view) > _shared(body, best):
            best = view
    return best


def views(resource: dict[str, Written]) -> Iterator[dict[str, Written]]:
    """The resource, and what is in its wrappers, outermost first."""
    yield resource
    data = resource.get(_DATA)
    if not isinstance(data, dict):
        only = next(iter(resource.values())) if len(resource) == 1 else None
        data = only if isinstance(only, dict) else None
    if data is None:
        return
    yield data
    attributes = data.get(_ATTRIBUTES)
    if isinstance(attributes, dict):
        yield {key: value for key, value in data.items() if key in _ENVELOPE} | attributes


def _attributes(document: dict[str, Written]) -> dict[str, Written] | None:
    data = document.get(_DATA)
    attributes = data.get(_ATTRIBUTES) if isinstance(data, dict) else None
    return attributes if isinstance(attributes, dict) else None


def _shared(body: dict[str, Written], resource: dict[str, Written]) -> int:
    return len(body.keys() & resource.keys())
