"""`wattkeeper meter read` as a person sees it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from adapters.modbus.command import read_command
from tests.adapters.modbus import hostile
from tests.adapters.modbus.hostile import HostileMeter
from tests.adapters.modbus.images import image_of


@contextmanager
def running(meter: HostileMeter) -> Iterator[int]:
    """Serve a meter from a thread of its own; yields the port."""
    ports: list[int] = []
    ready, over = threading.Event(), threading.Event()

    async def serve() -> None:
        async with meter.listening() as port:
            ports.append(port)
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    try:
        assert ready.wait(5)
        yield ports[0]
    finally:
        over.set()
        thread.join(5)


def test_table_shows_every_value_with_sign_and_unit(capsys: pytest.CaptureFixture[str]) -> None:
    with running(HostileMeter(words=image_of("eastron-sdm630").words)) as port:
        status = read_command(f"tcp://127.0.0.1:{port}", "eastron/sdm630", None)
    printed = capsys.readouterr()
    rows = {
        cells[0]: (cells[1], cells[2])
        for line in printed.out.splitlines()
        if len(cells := [cell.strip() for cell in line.strip("│").split("│")]) == 3
    }
    assert (status, printed.err) == (0, "")
    assert rows["current L2"] == ("-3.50", "A")
    assert rows["power L2"] == ("-760", "W")
    assert rows["voltage L1"] == ("231.40", "V")
    assert rows["frequency"] == ("50.00", "Hz")
    assert rows["power factor L1"] == ("0.990", "")
    assert rows["energy import"] == ("1234500", "Wh")
    assert len(rows) == 17


def test_values_that_cannot_be_true_are_shown_and_doubted(
    capsys: pytest.CaptureFixture[str],
) -> None:
    words = image_of("eastron-sdm630").words | {0: 0x4500}
    with running(HostileMeter(words=words)) as port:
        status = read_command(f"tcp://127.0.0.1:{port}", "eastron/sdm630", 1)
    printed = capsys.readouterr()
    assert status == 1
    assert "2054.40" in printed.out
    assert "the voltage of L1, 2054.4 V" in printed.err


@pytest.mark.parametrize(
    ("connection", "model", "status", "text"),
    [
        ("tcp://127.0.0.1:1", "eastron/sdm630", 1, "meter at tcp://127.0.0.1:1: no connection to"),
        ("tcp://127.0.0.1:1", None, 1, "meter at tcp://127.0.0.1:1: no connection to"),
        ("tcp://127.0.0.1:1", "acme/none", 2, "meter model acme/none is unknown; known are"),
        ("tcp://127.0.0.1:1", "eastron/sdm72", 2, "fit an SDM72D-M v2"),
        ("ftp://127.0.0.1", "eastron/sdm630", 2, "is not tcp://HOST:PORT"),
        ("ftp://127.0.0.1", None, 2, "is not tcp://HOST:PORT"),
    ],
)
def test_error_is_one_line_with_place_and_mend(
    capsys: pytest.CaptureFixture[str], connection: str, model: str | None, status: int, text: str
) -> None:
    assert read_command(connection, model, None) == status
    printed = capsys.readouterr()
    assert printed.out == ""
    assert text in printed.err
    assert printed.err.count("\n") == 1


@pytest.mark.parametrize(
    ("name", "unit", "fitting"),
    [
        ("eastron-sdm630", None, "eastron/sdm630"),
        ("abb-b23", None, "abb/b23"),
        ("kostal-ksem", 71, "kostal/ksem"),
        ("carlo-gavazzi-em340", None, "carlo-gavazzi/em340"),
        ("sunspec-meter-203", None, "sunspec/meter"),
    ],
)
def test_model_is_found_by_what_it_says(
    capsys: pytest.CaptureFixture[str], name: str, unit: int | None, fitting: str
) -> None:
    shown = image_of(name)
    meter = HostileMeter(words=shown.words, unit=unit or 1)
    with running(meter) as port:
        status = read_command(f"tcp://127.0.0.1:{port}?timeout_s=0.2", None, unit)
    printed = capsys.readouterr()
    assert (status, printed.err) == (0, "")
    models = printed.out.partition("Models that fit: ")[2].strip().split(", ")
    assert fitting in models
    assert "current L2" in printed.out
    assert "-3.50" in printed.out


def test_device_that_is_no_meter_fits_no_model(capsys: pytest.CaptureFixture[str]) -> None:
    """One answer that is lost on the way does not make it a silent device."""
    device = HostileMeter(words={})
    device.faults.append(hostile.silence)
    with running(device) as port:
        status = read_command(f"tcp://127.0.0.1:{port}?timeout_s=0.05", None, 1)
    assert status == 1
    assert "no model of the catalogue fits" in capsys.readouterr().err


def test_silent_unit_is_told_apart_from_an_unknown_model(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with running(HostileMeter(words={}, unit=9)) as port:
        status = read_command(f"tcp://127.0.0.1:{port}?timeout_s=0.05", None, 1)
    assert status == 1
    assert "no answer from unit 1 within 0.05 s" in capsys.readouterr().err
