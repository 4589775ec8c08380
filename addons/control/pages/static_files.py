"""The pages' own style, scripts and icon: a closed set of files, each read once."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from types import MappingProxyType

from starlette.requests import Request
from starlette.responses import Response

from addons.control.problems import Problem, ProblemError

_FOLDER = Path(__file__).parent / "static"
_TYPES = {
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
_KEEP = "private, no-cache"  # kept, and asked about: a new version acts at the next load


@dataclass(frozen=True, slots=True)
class _File:
    content: bytes
    media_type: str
    etag: str


class StaticFiles:
    def __init__(self) -> None:
        self._files: Mapping[str, _File] = MappingProxyType(
            {path.name: _read(path) for path in sorted(_FOLDER.iterdir()) if path.suffix in _TYPES}
        )

    async def answer(self, request: Request) -> Response:
        file = self._files.get(request.path_params["name"])
        if file is None:
            raise ProblemError(Problem(HTTPStatus.NOT_FOUND, "not_found", "there is no such file"))
        headers = {"ETag": file.etag, "Cache-Control": _KEEP}
        if request.headers.get("if-none-match") == file.etag:
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(file.content, headers=headers, media_type=file.media_type)


def _read(path: Path) -> _File:
    content = path.read_bytes()
    return _File(content, _TYPES[path.suffix], f'"{hashlib.sha256(content).hexdigest()[:32]}"')
