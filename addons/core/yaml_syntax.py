"""What PyYAML's scanner and parser complain about, said in the words of somebody who writes YAML."""

from __future__ import annotations

import re

import yaml

_NO_COLON = "could not find expected ':'"
# By what the parser says, the first that fits: what is wrong, and what to do. {0} is what it quotes, {line}
# where the thing began that is not as it should be.
_COMPLAINTS = (
    (r"found character '\\t'", "a tab, where only spaces can stand", "indent with spaces"),
    (r"found character '(.)' that cannot start", "'{0}' can't begin a value", "put the value in quotes"),
    (
        r"expected <block end>, but found '<scalar>'",
        "text behind a value that has ended",
        "put all of the value in quotes, or begin the line in the column of those above",
    ),
    (
        r"expected <block end>",
        "this line begins in another column than those it belongs to",
        "begin all keys of a mapping in one column, and all items of a list",
    ),
    (
        r"mapping values are not allowed here",
        "a ':' that makes no key here",
        "put a text with ': ' in quotes; else the line above lacks its ':', or begins in another column",
    ),
    (_NO_COLON, "neither 'key: value' nor '- item'", "write ':' and a space behind the key"),
    (
        r"expected ',' or '(.)'",
        "what began in line {line} is not closed by '{0}'",
        "close it; put ',' between items",
    ),
    (r"found unexpected end of stream", "the quote of line {line} is not closed", "close it"),
    (r"while scanning an alias", "'*' begins an alias", "put a glob that begins with '*' in quotes"),
    (r"while scanning an anchor", "'&' begins an anchor", "put the value in quotes"),
    (
        r"expected chomping or indentation indicators",
        "'>' and '|' begin a block of text",
        "put a value that begins with one in quotes",
    ),
    (
        r"unknown escape character|expected escape sequence",
        "'\\' begins an escape in double quotes, and this is none",
        "use single quotes, or write it twice",
    ),
    (r"but found '([]}])'", "'{0}' closes nothing", "remove it, or open it"),
)


def syntax_complaint(error: yaml.MarkedYAMLError) -> tuple[yaml.Mark | None, str, str]:
    """Say where, what is wrong, and what to do. Of the text no more than one character is quoted."""
    mark = error.problem_mark or error.context_mark
    if (error.context or "").startswith("expected a single document"):
        return mark, "a second document starts here; one file holds one document", "make two files of it"
    said = " ".join(part for part in (error.context, error.problem) if part)
    line = error.context_mark.line + 1 if error.context_mark is not None else 0
    for pattern, message, remedy in _COMPLAINTS:
        found = re.search(pattern, said)
        if found is not None:
            # it is seen only where the next line begins
            where = error.context_mark if pattern is _NO_COLON else mark
            return where, f"not YAML: {message.format(*found.groups(), line=line)}", remedy
    return mark, f"not YAML: {said}", ""
