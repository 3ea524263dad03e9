"""`wattkeeper wiring check`: one charging EVSE is paused and resumed, and the meters are asked what they saw.

It talks to the running controller as any program does. It only ever pauses: what the EVSE gets when it is
resumed is the controller's decision as always.
"""

from __future__ import annotations

import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final

import httpx
import typer

ROUNDS: Final = 2
"""Each gives two steps; the controller wants four before it judges."""
STILL_A: Final = 0.5
DRAWING_A: Final = 4.0
"""Smaller steps drown in the building's noise. [A]"""
FOUND, RIGHT, UNCLEAR = 1, 0, 3
TOKEN = "WATTKEEPER_TOKEN"  # noqa: S105 - the name of a variable

wiring = typer.Typer(help="Which charger hangs on which meter.", no_args_is_help=True)

_MEANING: Final[Mapping[str, str]] = {
    "right": "as in the site file",
    "reversed": "the current falls at the meter when charging begins: turn the transformer of that phase "
    "around, or exchange its wires S1 and S2",
    "phases": "the current shows on another phase: correct the EVSE's `rotation`; if others are named too, "
    "the meter's phases are exchanged",
    "unseen": "the meter does not see this EVSE: correct its `circuit`, or the transformers do not embrace "
    "that cable",
    "unknown": "not clear: too little current, or too much else moved meanwhile. Repeat it when the "
    "building is quiet, and the other EVSEs have been paused or idle for 90 s",
}


class CannotCheckError(Exception):
    """The check did not come to an end; the text says why and what to do."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pace:
    """How long each step may take."""

    step_s: float = 180.0
    """Longest wait for the vehicle to stop or start. [s]"""
    settle_s: float = 15.0
    """How long the current stays before the next step: meters and stations report late. [s]"""
    poll_s: float = 1.0


@wiring.command("check")
def check(
    evse: Annotated[str, typer.Argument(metavar="STATION/EVSE", help="A vehicle charges there.")],
    url: Annotated[str, typer.Option(help="Address of the controller.")] = "http://127.0.0.1:8080",
    ca: Annotated[
        Path | None, typer.Option(help="Certificate to trust, where the controller made its own.")
    ] = None,
) -> None:
    """Pause and resume a charging EVSE twice; tell at which meter, phase and sign its current showed.

    The API token of an operator is taken from the environment variable WATTKEEPER_TOKEN.
    """
    token = os.environ.get(TOKEN, "")
    if not token:
        typer.echo(f"Put an operator's API token into the environment as {TOKEN}.", err=True)
        raise typer.Exit(2)
    try:
        trust = ssl.create_default_context(cafile=ca)
        headers = {"Authorization": f"Bearer {token}"}
        with httpx.Client(base_url=url, headers=headers, timeout=10.0, verify=trust) as client:
            found = checked(client, evse, pace=Pace(), say=typer.echo)
    except (CannotCheckError, OSError, httpx.HTTPError, httpx.InvalidURL) as error:
        typer.echo(f"{url}: {error}", err=True)
        raise typer.Exit(2) from None
    for line in told(found):
        typer.echo(line)
    raise typer.Exit(outcome(found))


def checked(
    client: httpx.Client, evse: str, *, pace: Pace, say: Callable[[str], None]
) -> list[dict[str, Any]]:
    """Pause and resume an EVSE; return what `GET /api/v1/wiring` says of it. It is resumed in any case.

    Raises:
        CannotCheckError: It does not charge, is paused already, or did not follow in time.
    """
    if evse.count("/") != 1:
        raise CannotCheckError(f"{evse!r} is no STATION/EVSE, such as CP001/1")
    path = f"/api/v1/evses/{evse}"
    now = _asked(client, "GET", path)
    if now["paused"]:
        raise CannotCheckError(f"{evse} is paused; resume it first")
    drawn_a = _drawn_a(now)
    if drawn_a is None or drawn_a < DRAWING_A:
        known = "does not tell what it draws" if drawn_a is None else f"draws {drawn_a:.1f} A"
        raise CannotCheckError(
            f"{evse} {known}; let a vehicle charge there with {DRAWING_A:g} A at least"
        )
    try:
        for number in range(1, ROUNDS + 1):
            say(f"{number} of {ROUNDS}: {evse} is paused")
            _asked(client, "POST", f"{path}/pause")
            _wait(client, path, pace, lambda a: a < STILL_A, "is not known to have stopped")
            time.sleep(pace.settle_s)
            say(f"{number} of {ROUNDS}: {evse} is resumed")
            _asked(client, "POST", f"{path}/resume")
            _wait(
                client, path, pace, lambda a: a >= DRAWING_A, "is not known to have started again"
            )
            time.sleep(pace.settle_s)
    finally:
        _resume(client, evse, path)
    return _pairs(client, evse)


def _resume(client: httpx.Client, evse: str, path: str) -> None:
    try:
        _asked(client, "POST", f"{path}/resume")
    except (httpx.HTTPError, CannotCheckError) as error:
        raise CannotCheckError(
            f"{evse} may still be paused: resume it on the dashboard ({error})"
        ) from error


def told(found: list[dict[str, Any]]) -> list[str]:
    """Return the findings in words, one line per circuit."""
    lines = []
    for pair in found:
        seen = ", ".join(
            f"{phase.upper()} {100.0 * gain:.0f} %"
            for phase, gain in pair["gain"].items()
            if gain is not None
        )
        text = f"{pair['circuit']}, meter {pair['meter']}: {_MEANING[pair['verdict']]}."
        if seen:
            text += f" Of its current the meter saw: {seen}, in {pair['steps']} steps."
        if pair["verdict"] == "right" and not pair["tells_phases"]:
            text += (
                " Three phases at once cannot tell exchanged phases; a single-phase vehicle can."
            )
        lines.append(text)
    return lines or ["There is no meter above this EVSE."]


def outcome(found: list[dict[str, Any]]) -> int:
    """Return the exit code: a mistake, all right, or not clear."""
    verdicts = {pair["verdict"] for pair in found}
    if verdicts - {"right", "unknown"}:
        return FOUND
    return RIGHT if verdicts == {"right"} else UNCLEAR


def _wait(
    client: httpx.Client, path: str, pace: Pace, is_there: Callable[[float], bool], else_: str
) -> None:
    end_s = time.monotonic() + pace.step_s
    while True:
        drawn_a = _drawn_a(_asked(client, "GET", path))
        if drawn_a is not None and is_there(drawn_a):
            return
        if time.monotonic() > end_s:
            raise CannotCheckError(
                f"the vehicle {else_} after {pace.step_s:g} s; its EVSE is resumed. Look at it on the "
                "dashboard, or take another vehicle"
            )
        time.sleep(pace.poll_s)


def _drawn_a(evse: Mapping[str, Any]) -> float | None:
    """Return the current of its most loaded phase; None: not known. [A]"""
    return max((a for a in (evse["drawn_a"] or {}).values() if a is not None), default=None)


def _pairs(client: httpx.Client, evse: str) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    offset: int | None = 0
    while offset is not None:
        page = _asked(client, "GET", f"/api/v1/wiring?offset={offset}")
        items += [item for item in page["items"] if item["evse"] == evse]
        offset = page["next_offset"]
    return items


def _asked(client: httpx.Client, method: str, path: str) -> Any:
    answer = client.request(method, path)
    if answer.is_success:
        return answer.json()
    try:
        problem = answer.json()
        text = f"{problem['detail']} {problem.get('mend') or ''}".strip()
    except (ValueError, KeyError, TypeError):
        text = f"answers {answer.status_code} to {method} {path}"
    raise CannotCheckError(text)
