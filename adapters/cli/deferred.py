"""Groups of commands whose module is imported only when one of them is asked for.

Each command needs other libraries; importing all of them took most of the start of every command.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup


@contextmanager
def importing() -> Iterator[None]:
    """Import much at once: nothing of it is garbage, and looking for some took a seventh of it."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def deferred(module: str, name: str, *, text: str) -> typer.Typer:
    """Stand in for a `Typer` that a module holds.

    Args:
        module: Full name of the module.
        name: Of the `Typer` in it.
        text: Its help, shown without importing it.
    """

    class Deferred(TyperGroup):
        def list_commands(self, ctx: Any) -> list[str]:
            self._fill()
            return super().list_commands(ctx)

        def get_command(self, ctx: Any, cmd_name: str) -> Any:
            self._fill()
            return super().get_command(ctx, cmd_name)

        def _fill(self) -> None:
            if not self.commands:
                found: typer.Typer = getattr(import_module(module), name)
                self.commands.update(typer.main.get_group(found).commands)

    return typer.Typer(cls=Deferred, help=text, no_args_is_help=True)
