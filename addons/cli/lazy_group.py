"""A command whose subcommands are imported when one of them is run: each needs other parts, and together they
take most of a second to load, which a gateway's start and every command of another area would pay.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any, ClassVar

import typer
from typer.core import TyperGroup
from typer.main import get_group


@contextmanager
def loading() -> Iterator[None]:
    """Within, modules load without a look for garbage: there is none, and looking takes a tenth of the time.
    What is loaded then stays out of later looks too, which shortens the pauses of a process that serves.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


class LazyGroup(TyperGroup):
    """`modules`: the module of each subcommand by its name. A module has `app`, a `typer.Typer`: a group of
    commands, or one with a single command of that name and no callback.
    """

    modules: ClassVar[Mapping[str, str]] = {}

    # The types of click that Typer builds on are its own and private.
    def list_commands(self, ctx: Any) -> list[str]:
        own = [name for name in super().list_commands(ctx) if name not in self.modules]
        return [*own, *self.modules]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        module = self.modules.get(cmd_name)
        if module is None:
            return super().get_command(ctx, cmd_name)
        known = self.commands.get(cmd_name)
        if known is None:
            known = self.commands[cmd_name] = _load(module, cmd_name)
        return known


def _load(module: str, name: str) -> Any:
    with loading():
        app: typer.Typer = import_module(module).app
    alone = len(app.registered_commands) == 1 and app.registered_callback is None
    holder = typer.Typer(rich_markup_mode="markdown", add_completion=False)
    holder.add_typer(app, name=None if alone else name)
    return get_group(holder).commands[name]
