"""A script for stock mitmdump: ddgate's chain with an addon in every gap that raises on demand.

The file named by FAULT_FILE holds `POSITION HOOK`; the addon at that position raises in that hook. Otherwise
nothing differs from `addons/chain.py`.
"""

from __future__ import annotations

import os
from pathlib import Path

from mitmproxy.addonmanager import Loader

from addons.chain import Chain


class Faulty:
    def __init__(self, position: int) -> None:
        self.name = f"faulty{position}"
        self._position = position

    def _maybe(self, hook: str) -> None:
        position, wanted = [*Path(os.environ["FAULT_FILE"]).read_text().split(), "", ""][:2]
        if wanted == hook and position == str(self._position):
            raise RuntimeError(f"fault at {position} in {hook}")

    def http_connect(self, _: object) -> None:
        self._maybe("http_connect")

    def requestheaders(self, _: object) -> None:
        self._maybe("requestheaders")

    async def request(self, _: object) -> None:
        self._maybe("request")

    def server_connect(self, _: object) -> None:
        self._maybe("server_connect")

    def responseheaders(self, _: object) -> None:
        self._maybe("responseheaders")

    async def answer_part(self, _: object) -> None:
        self._maybe("answer_part")

    async def response(self, _: object) -> None:
        self._maybe("response")

    def error(self, _: object) -> None:
        self._maybe("error")


class FaultyChain(Chain):
    def load(self, loader: Loader) -> None:
        super().load(loader)
        mixed: list[object] = []
        for position, stage in enumerate(self.addons):
            mixed += [Faulty(position), stage]
        self.addons = mixed
        Path(os.environ["FAULT_FILE"] + ".count").write_text(str(len(mixed) // 2))


addons = [FaultyChain()]
