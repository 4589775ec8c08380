"""What an operation does, and to what, in words: `UpdateMonitor` is `update`, `monitor`."""

from __future__ import annotations

import re
from dataclasses import dataclass

from addons.core.model import Operation

_WORD = re.compile(r"[A-Z]{2,}s(?![a-z])|[A-Z]+(?![a-z])|[A-Z][a-z]+|[a-z]+|[0-9]+")
# Names that are written in one, and words that go together. The longest come first.
_NAMES = {
    ("Io", "C"): "IoC",
    ("Auth", "N"): "AuthN",
    ("O", "Auth", "2"): "OAuth2",
    ("O", "Auth"): "OAuth",
    ("On", "Call"): "on-call",
    ("On", "Demand"): "on-demand",
    ("Pager", "Duty"): "PagerDuty",
    ("Service", "Now"): "ServiceNow",
    ("Git", "Hub"): "GitHub",
    ("CI", "App"): "CI app",
    ("Google", "Chat"): "Google Chat",
    ("MS", "Teams"): "MS Teams",
    ("V", "2"): "",
    ("V", "1"): "",
}
_LONGEST = max(map(len, _NAMES))
_PROPER = {
    **{
        each.lower(): each
        for each in (
            *("API", "AWS", "CSM", "CSV", "DNS", "GCP", "IAM", "ID", "IDs", "IP", "LLM", "RUM", "SCA", "SDK"),
            *("SLO", "SLOs", "SPA", "URL", "URLs", "WAF", "APM", "AI", "AST", "ASM", "JSON", "IdP"),
            *("Azure", "Cloudflare", "Confluent", "Databricks", "Datadog", "Elastic", "Entra", "Fastly"),
            *("Google", "Jira", "Lambda", "Okta", "Opsgenie", "Salesforce", "Slack", "Snowflake"),
            *("Terraform", "Twilio", "DDSQL"),
        )
    },
    "arn": "ARN",
    "awscur": "AWS CUR",
    "awsccm": "AWS CCM",
    "gcpsts": "GCP STS",
}
_ADVERBS = frozenset({"bulk", "batch", "soft"})


@dataclass(frozen=True, slots=True)
class Words:
    """`verb` is what is done, `noun` to what; the noun may be empty, the verb never is."""

    verb: str
    noun: str


def words_of(operation: Operation) -> Words:
    """Read an operation's name. `CreateOrUpdate…`, `UpsertAndPublish…` and `BulkDelete…` have verbs of more
    than one word.
    """
    words = _words(operation.name)
    count = 1
    if len(words) > 2 and words[1] in {"or", "and"}:  # noqa: PLR2004 - create, or, update
        count = 3
    elif len(words) > 1 and words[0] in _ADVERBS:
        count = 2
    return Words(" ".join(words[:count]), " ".join(words[count:]))


def _words(name: str) -> list[str]:
    found: list[str] = _WORD.findall(name)
    words: list[str] = []
    place = 0
    while place < len(found):
        length = next(
            (size for size in range(_LONGEST, 1, -1) if tuple(found[place : place + size]) in _NAMES), 1
        )
        if length > 1:
            words.append(_NAMES[tuple(found[place : place + length])])
        else:
            words.append(_plain(found[place]))
        place += length
    return [word for word in words if word] or [name]


def _plain(word: str) -> str:
    is_acronym = len(word) > 1 and word.rstrip("s").isupper()
    return word if is_acronym else _PROPER.get(word.lower(), word.lower())
