"""What stands in a secret's place and is none: words, masks, references, variables, templates."""

from __future__ import annotations

import re2

from addons.core.redact.detectors.randomness import is_wordless

_LATIN1 = re2.Options()
_LATIN1.encoding = re2.Options.Encoding.LATIN1
_PLACEHOLDER = re2.compile(
    rb"(?i)^(?:|null|none|nil|undefined|true|false|yes|no|on|off|empty|unset|default|required|optional|missing"
    rb"|invalid|incorrect|wrong|expired|denied|unknown|hidden|masked|redacted|removed|filtered|secret|password"
    rb"|passwd|token|string|text|integer|number|boolean|object|array|str|int|bytes|todo|tbd|n/?a|example"
    rb"|changeme|change[_-]?me|your[a-z0-9_ -]*|[a-z]{2,10}[_-](?:your|placeholder|dummy)(?:[_-][a-z]+)*"
    rb"|my[_-]?(?:secret|password|token|key)|(?:insert|enter)[_ -].*"
    rb"|[*x.?#_=\-\xe2\x80\xa2\xb7\s]+|<.*>|\[.*\]|\{.*\}|\([a-z]{3,20}(?: [a-z]{1,20}){0,4}\)"
    rb"|%[a-z]|%\(.*|\|"
    # A variable of Windows; its `%DB` may have been read as an escape.
    rb"|(?:%[A-Z0-9_]+|[\x80-\xff][A-Z0-9_]*)%"
    rb"|(?:vault|secretref|ref|env|file|op|awssm|gcpsm|ssm|sm|kms|keyvault|arn|urn|enc):.*"
    rb"|ref\+[a-z0-9]+:.*|projects/[^/]+/secrets/[^/]+(?:/versions/\w+)?|@microsoft\.keyvault\(.*"
    rb"|enc\[[^\]]*\]?|!(?:vault|secret|env|ref|sub|var|reference)(?:[^a-z0-9].*)?"
    rb"|(?:process\.env|os\.environ|os\.getenv|env|secrets|var|local|config|settings|self|this|data|params)[.\[(].*"
    rb"|(?:basic|bearer|digest|negotiate|oauth2?|api[_-]?key|apikey|jwt|saml|sha\d*|md5|hmac.{0,8})"
    rb"|[:@][a-z_]*(?:pass|pw|pwd|password|passwd|secret|token|key)|[a-z_.]+\(\);?"
    rb"|\$\(.*\)|\$\[.*\]|\$\([^()]*\)[\w./:\-]+|\$[0-9]{1,2}|\$[a-z]+:\w+"
    rb"|.*(?:\$\{[^{}]*\}|\{\{.*\}\}|<%.*%>|[%#]\{[^{}]*\}).*"
    # The same where a space or a quote has cut it.
    rb"|\$\((?:(?:<|(?-i:[a-z]+(?:[A-Z][a-z]+|[a-z0-9_./\-]+)*))(?:\s.*)?)?"
    rb"|.*(?:\$\{|\{\{|<%|%\{)[-=~]?[\s$.\"']*(?:[a-z_][\w.\s\-(\[]*(?::[-=?+])?)?"
    # Shown in part by whoever masked it, at most as much as not: the Agent leaves the end of its key.
    rb"|[*.#]{3,}[a-z0-9]{1,3}|[*.#x]{6,}[a-z0-9]{1,6}|[*.#x]{8,}[a-z0-9]{1,8}|(?:\xe2\x80\xa2){3,}[a-z0-9]{1,8}"
    rb"|[a-z0-9_\-]{1,4}(?:[*.#]{4,}|[*.#x]{8,}[a-z0-9]{1,4}))$",
    options=_LATIN1,
)
_VARIABLE = re2.compile(
    rb"^\$_{0,2}([A-Z]+[0-9]{0,3}(?:_[A-Z0-9]+)*_?|[a-z]+[0-9]{0,2}(?:_[a-z0-9]+)*"
    rb"|[A-Za-z]?[a-z]+(?:[A-Z]+[a-z]+|[A-Z]+|[0-9]{1,2})*)(?:\[.*|-|->.*|::.*|\$)?$",
    options=_LATIN1,
)


def is_placeholder(value: bytes) -> bool:
    """Whether the whole of `value` but stands for a secret: empty, `null`, `<redacted>`, `${VAR}`, a mask."""
    text = value[:400].strip()
    if _PLACEHOLDER.search(text) is not None:
        return True
    variable = _VARIABLE.search(text) if text.startswith(b"$") else None
    return variable is not None and not is_wordless(variable.group(1))
