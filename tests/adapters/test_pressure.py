"""Little memory or a full processor is told after a minute, sheds what is no control, and ends by itself."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from adapters.pressure import EVERY_S, Gauge, MachineLoad, Pressure
from controller.alarms import AlarmBook
from tests.fakes.recording_desk import T0, StillClock

MIB = 2**20
CALM = MachineLoad(
    rss_bytes=120 * MIB, available_bytes=900 * MIB, total_bytes=2000 * MIB, busy_ratio=0.1
)
SHORT = replace(CALM, available_bytes=80 * MIB)
BUSY = replace(CALM, busy_ratio=0.97)


@dataclass
class Scene:
    load: MachineLoad = CALM
    clock: StillClock = field(default_factory=StillClock)
    alarms: AlarmBook = field(default_factory=AlarmBook)

    def __post_init__(self) -> None:
        self.pressure = Pressure(conditions=self.alarms, clock=self.clock, look=lambda: self.load)
        self.pressure.judge()

    def after(self, seconds: float) -> list[str]:
        """Let time pass; return the alarms in force."""
        for _ in range(round(seconds / EVERY_S)):
            self.clock.advance(EVERY_S)
            self.pressure.judge()
        self.alarms.update((), T0)
        return [a.condition.code for a in self.alarms.active()]

    def seconds_until_told(self) -> float:
        seconds = 0.0
        while not self.after(EVERY_S):
            seconds += EVERY_S
        return seconds + EVERY_S


@pytest.mark.parametrize(("load", "code"), [(SHORT, "MEMORY_LOW"), (BUSY, "PROCESSOR_BUSY")])
def test_a_lasting_shortage_is_told_in_a_minute_and_ends_by_itself(
    load: MachineLoad, code: str, record_property: Callable[[str, object], None]
) -> None:
    scene = Scene(load=CALM)
    scene.load = load
    told_s = scene.seconds_until_told()
    record_property("fault_t_d_s", told_s)
    was_shedding = scene.pressure.is_shedding
    scene.load = CALM

    assert told_s <= 60.0
    assert was_shedding
    assert scene.after(30.0) == [code], "a moment of ease is no end"
    assert scene.after(30.0) == []
    assert not scene.pressure.is_shedding


@pytest.mark.parametrize("load", [SHORT, BUSY])
def test_a_short_peak_is_nothing(load: MachineLoad) -> None:
    scene = Scene()
    told = []
    for _ in range(5):
        scene.load = load
        told += scene.after(50.0)
        scene.load = CALM
        told += scene.after(5.0)

    assert told == []


def test_the_text_names_what_is_left_and_the_mend() -> None:
    scene = Scene(load=SHORT)
    scene.after(60.0)
    (alarm,) = scene.alarms.active()

    assert "Only 80 MB of memory are left (100 MB should be; Wattkeeper itself takes 120 MB)" in (
        alarm.condition.text
    )
    assert "more memory" in alarm.condition.text


def test_what_a_system_does_not_say_is_no_shortage() -> None:
    mute = MachineLoad(rss_bytes=None, available_bytes=None, total_bytes=None, busy_ratio=None)
    scene = Scene(load=mute)

    assert scene.after(200.0) == []
    assert scene.pressure.figures() == {}


MEMINFO = "MemTotal:        2048000 kB\nMemFree: 10 kB\nMemAvailable:    1024000 kB\n"
STATUS = "Name:\twattkeeper\nVmRSS:\t  131072 kB\nThreads:\t9\n"


def a_machine(root: Path, **files: str) -> Gauge:
    texts = {"proc/meminfo": MEMINFO, "proc/self/status": STATUS} | {
        name.replace("__", "/").replace("_dot_", "."): text for name, text in files.items()
    }
    for name, text in texts.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return Gauge(root)


def test_the_machines_memory_is_read(tmp_path: Path) -> None:
    load = a_machine(tmp_path).look()

    assert (load.rss_bytes, load.available_bytes) == (131072 * 1024, 1024000 * 1024)
    assert load.total_bytes == 2048000 * 1024


@pytest.mark.parametrize("place", ["sys/fs/cgroup/box", "sys/fs/cgroup"])
def test_a_containers_limit_goes_before_the_machines(tmp_path: Path, place: str) -> None:
    gauge = a_machine(tmp_path, proc__self__cgroup="0::/box\n")
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "memory.max").write_text(f"{256 * MIB}\n")
    (folder / "memory.current").write_text(f"{250 * MIB}\n")
    (folder / "memory.stat").write_text(f"anon 1\ninactive_file {20 * MIB}\n")

    load = gauge.look()

    assert (load.total_bytes, load.available_bytes) == (256 * MIB, 26 * MIB)
    assert load.floor_bytes == 64 * MIB


def test_a_group_of_the_first_version_is_read_and_no_limit_is_none(tmp_path: Path) -> None:
    gauge = a_machine(tmp_path, proc__self__cgroup="8:pids:/\n4:memory:/box\n0::/\n")
    folder = tmp_path / "sys/fs/cgroup/memory/box"
    folder.mkdir(parents=True)
    (folder / "memory.usage_in_bytes").write_text(f"{100 * MIB}\n")
    (folder / "memory.limit_in_bytes").write_text("9223372036854771712\n")
    unlimited = gauge.look().available_bytes
    (folder / "memory.limit_in_bytes").write_text(f"{128 * MIB}\n")

    assert unlimited == 1024000 * 1024
    assert gauge.look().available_bytes == 28 * MIB


def test_this_machine_is_read_by_a_thread_of_its_own() -> None:
    looked = threading.Event()
    gauge = Gauge()

    def look() -> MachineLoad:
        load = gauge.look()
        if load.busy_ratio is not None:
            looked.set()
        return load

    pressure = Pressure(conditions=AlarmBook(), clock=StillClock(), look=look, every_s=0.01)
    pressure.start()
    was_read = looked.wait(20.0)
    pressure.stop()

    assert was_read
    assert pressure.figures()["process_memory_bytes"] > MIB
    assert pressure.figures()["memory_available_bytes"] > 0.0
