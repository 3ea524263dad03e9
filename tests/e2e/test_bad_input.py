"""Bad input against the real command: one message that names place and mend, and control goes on."""

from __future__ import annotations

import asyncio
import base64
import os
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import websockets

from tests.e2e.rig import ROOT, Rig, SiteOptions

COMMAND = (sys.executable, "-m", "adapters.cli.main")


def wattkeeper(*arguments: str, before: Callable[[], None] | None = None) -> Any:
    """Run the command to its end; one that goes on controlling is a failure."""
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
        preexec_fn=before,
    )


def a_rig(folder: Path, *, chargers: int = 1, extra: str = "") -> Rig:
    rig = Rig(folder=folder, options=SiteOptions(chargers=chargers, extra=extra))
    rig.write_site()
    return rig


@contextmanager
def occupied(port: int) -> Iterator[None]:
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        other.listen()
        yield


def refusal(rig: Rig) -> str:
    """Start a controller that must not start; return its only plain message."""
    result = wattkeeper("run", str(rig.site_file))
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    plain = [line for line in result.stderr.splitlines() if not line.startswith("{")]
    assert len(plain) == 1, plain
    return str(plain[0])


def test_a_wrong_site_file_is_refused_with_line_and_mend(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    rig.site_file.write_text(rig.site_file.read_text().replace("circuit: main", "circuit: mian"))
    result = wattkeeper("run", str(rig.site_file))
    assert result.returncode == 2
    assert [
        f"{rig.site_file}:9: stations.CP001.circuit: there is no circuit `mian`. "
        "Mend: did you mean `main`?"
    ] == result.stderr.splitlines()


def test_a_missing_site_file_is_named() -> None:
    result = wattkeeper("run", "nowhere/site.yaml")
    assert result.returncode == 2
    assert (result.stderr.splitlines()) == [
        "nowhere/site.yaml:1: there is no such file. Mend: check the name and the folder."
    ]


@pytest.mark.parametrize("listener", ["ocpp", "http"])
def test_a_port_in_use_is_named_with_its_key(tmp_path: Path, listener: str) -> None:
    rig = a_rig(tmp_path)
    with occupied(rig.ports[listener]):
        message = refusal(rig)
    assert f"127.0.0.1:{rig.ports[listener]}" in message
    assert "in use" in message
    assert listener in message
    assert "listen" in message


def test_a_store_below_a_file_is_named(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    (tmp_path / "file").touch()
    rig.site_file.write_text(rig.site_file.read_text().replace("rig.db", "file/rig.db"))
    message = refusal(rig)
    assert f"{tmp_path}/file is not a folder" in message
    assert "store.path" in message


def test_a_store_on_a_full_disk_is_named(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)

    def full() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (4096, 4096))

    result = wattkeeper("station", "secret", "CP001", "--site", str(rig.site_file), before=full)
    assert result.returncode == 1, result.stderr
    assert "Traceback" not in result.stderr
    assert "store.path" in result.stderr


def start(rig: Rig) -> subprocess.Popen[bytes]:
    with (rig.folder / "controller.log").open("ab") as log:
        return subprocess.Popen(
            [*COMMAND, "run", str(rig.site_file)],
            cwd=ROOT,
            stdout=log,
            stderr=log,
            env={**os.environ, "RIG_INFLUX": "wrong"},
        )


def wait_for(rig: Rig, text: str, within_s: float = 20.0) -> str:
    """Wait for a line of the log that holds a text."""
    end_s = time.monotonic() + within_s
    while time.monotonic() < end_s:
        for line in rig.controller_log().splitlines():
            if text in line:
                return line
        time.sleep(0.1)
    raise AssertionError(f"no {text} in {rig.controller_log()}")


@contextmanager
def controlled(rig: Rig) -> Iterator[subprocess.Popen[bytes]]:
    process = start(rig)
    try:
        wait_for(rig, "controller.started")
        yield process
    finally:
        process.terminate()
        code = process.wait(20)
    assert code == 0
    assert "Traceback" not in rig.controller_log()


def test_a_second_controller_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    with controlled(rig) as first:
        message = refusal(rig)
        assert f"{tmp_path}/rig.db.lock: another controller runs on this store." in message
        assert str(first.pid) == (tmp_path / "rig.db.lock").read_text()
        assert first.poll() is None


def test_a_corrupt_store_is_kept_and_replaced(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    (tmp_path / "rig.db").write_bytes(b"no database" * 1000)
    with controlled(rig):
        line = wait_for(rig, "STORE_RECOVERED")
    kept = next(tmp_path.glob("rig.db.damaged-*"))
    assert kept.read_bytes() == b"no database" * 1000
    assert kept.name in line


def alarms_of(found: list[dict[str, Any]]) -> dict[tuple[str, str], str]:
    return {(a["code"], a["subject"]): a["text"] for a in found if a["end"] is None}


async def alarms_with(rig: Rig, codes: set[str], within_s: float = 25.0) -> dict[Any, str]:
    """Ask for the alarms until all codes are there."""
    end_s = time.monotonic() + within_s
    found: dict[Any, str] = {}
    while time.monotonic() < end_s:
        answer = await rig.get("/api/v1/alarms")
        found = alarms_of(answer["items"])
        if codes <= {code for code, _ in found}:
            return found
        await asyncio.sleep(0.3)
    raise AssertionError(f"{codes} not all in {found}")


async def connect(rig: Rig, station: str, password: str) -> Any:
    basic = base64.b64encode(f"{station}:{password}".encode()).decode()
    return await websockets.connect(
        f"ws://127.0.0.1:{rig.ports['ocpp']}/{station}",
        subprotocols=[websockets.Subprotocol("ocpp1.6")],
        additional_headers={"Authorization": f"Basic {basic}"},
    )


async def outsiders(folder: Path) -> set[tuple[str, str]]:
    """A healthy charger, and beside it everything that is wrong on the wire at once."""
    rig = Rig(
        folder=folder,
        options=SiteOptions(
            chargers=3,
            extra='influx: {url: "http://127.0.0.1:1", org: o, bucket: b, token_env: RIG_INFLUX}',
        ),
    )
    passwords = await rig.prepare()
    rig.options.chargers = 1
    with controlled(rig):
        await rig.start_simulator({"CP001": passwords["CP001"]})
        reader = asyncio.create_task(rig.read_truth())
        try:
            await rig.until(lambda: rig.load_a() > 0, within_s=20, what="the site runs")
            for station in ("CP002", "STRANGER"):
                with pytest.raises(websockets.InvalidStatus):
                    await connect(rig, station, "a-wrong-password-of-some-length")
            broken = await connect(rig, "CP003", passwords["CP003"])
            await broken.send("{ this is no frame")
            await broken.send('[2,"1","Heartbeat",{}]')
            async with asyncio.timeout(5):
                while '"currentTime"' not in str(await broken.recv()):
                    pass
            await broken.close()
            found = await alarms_with(
                rig, {"WRONG_PASSWORD", "UNKNOWN_STATION", "INFLUX_UNREACHABLE"}
            )
            assert "CP002" in found["WRONG_PASSWORD", "CP002"]
            assert "STRANGER" in found["UNKNOWN_STATION", "STRANGER"]
            assert "127.0.0.1:1" in next(t for (c, _), t in found.items() if "INFLUX" in c)
            await rig.until(
                lambda: rig.drawn_a()["CP001/1"] > 6.5, within_s=30, what="the good one charges"
            )
            await rig.do(quit=True)
            return set(found)
        finally:
            reader.cancel()
            assert rig.simulator is not None
            if rig.simulator.returncode is None:
                rig.simulator.terminate()
            await rig.simulator.wait()
            await asyncio.gather(reader, return_exceptions=True)


def test_strangers_and_a_dead_influx_are_alarms_while_a_good_charger_charges(
    tmp_path: Path,
) -> None:
    assert ("WRONG_PASSWORD", "CP002") in asyncio.run(outsiders(tmp_path))


def test_a_meter_that_is_not_there_is_an_alarm_and_control_goes_on(tmp_path: Path) -> None:
    rig = a_rig(tmp_path)
    with controlled(rig):
        line = wait_for(rig, "METER_LOST")
        assert f"127.0.0.1:{rig.ports['meter']}" in line
        assert "check power, network and address" in line
        time.sleep(3)
    assert rig.controller_log().count("METER_LOST") == 1
    assert rig.controller_log().count("meter.silent") == 1
