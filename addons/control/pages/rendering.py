"""Templates to answers: escaping is on for every template, and a name that is missing is an error."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from starlette.responses import HTMLResponse

from addons.control.api.models import MAX_REASON
from addons.control.login import csrf
from addons.control.login.people import Caller
from addons.control.pages import words

_TEMPLATES = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Follows:
    """Who looks at a page, and how it stays up to date: `version` is that of the approvals in it, `again` is
    where somebody whose login has ended logs in to come back to it.
    """

    caller: Caller
    version: int
    again: str


class Rendering:
    def __init__(self) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        for word in ("shown", "plain", "json_shown", "css_word", "iso", "exact", "relative", "duration"):
            self._environment.filters[word] = getattr(words, word)
        self._environment.filters["bytes"] = words.byte_count
        self._environment.globals.update(csrf_field=csrf.FIELD, longest_reason=MAX_REASON)

    def part(self, template: str, **values: Any) -> Markup:
        """Of a page, by a template that needs nothing but `values`."""
        return Markup(self._environment.get_template(template).render(**values))  # noqa: S704 - escaped there

    def page(
        self,
        template: str,
        now: float,
        follows: Follows | None = None,
        status: int = 200,
        **values: Any,  # what the template names
    ) -> HTMLResponse:
        """`follows` is None for a page of nobody."""
        text = self._environment.get_template(template).render(
            now=now,
            me=None if follows is None else follows.caller,
            again=None if follows is None else follows.again,
            version=0 if follows is None else follows.version,
            **values,
        )
        return HTMLResponse(text, status)
