"""`wattkeeper meter read` and `wattkeeper meter detect`."""

from __future__ import annotations

from typing import Annotated

import typer

from adapters.modbus.command import read_command
from adapters.modbus.detect import SECONDS
from adapters.modbus.detect_command import detect_command

meter = typer.Typer(help="Read and find meters.", no_args_is_help=True)


@meter.command("read")
def read_meter(
    connection: Annotated[
        str, typer.Argument(help="tcp://HOST:PORT, rtu+tcp://..., rtu:///dev/...")
    ],
    model: Annotated[str | None, typer.Option(help="For example eastron/sdm630.")] = None,
    unit: Annotated[int | None, typer.Option(min=0, max=247, help="Modbus unit id.")] = None,
) -> None:
    """Read a meter once and print its values."""
    raise typer.Exit(read_command(connection, model, unit))


@meter.command("detect")
def detect_meter(
    connection: Annotated[
        str, typer.Argument(help="HOST, tcp://HOST:PORT, rtu+tcp://..., rtu:///dev/...")
    ],
    unit: Annotated[int | None, typer.Option(min=0, max=255, help="Modbus unit id.")] = None,
    seconds: Annotated[float, typer.Option(min=5, max=3600, help="Longest search.")] = SECONDS,
) -> None:
    """Find model, unit, word order and offset of a meter; print the lines for the site file."""
    raise typer.Exit(detect_command(connection, unit, seconds))
