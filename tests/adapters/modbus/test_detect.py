"""`meter detect` against a simulated device for every map, permissive ones and strict ones."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from adapters.config.loader import load_site_text
from adapters.modbus.catalogue import known_models, load_map
from adapters.modbus.detect import Finding, NothingFoundError, detect
from adapters.modbus.detect_command import detect_command, site_lines, told
from adapters.modbus.fit import Confidence, judged
from adapters.modbus.registermap import MeterMap, Point
from tests.adapters.modbus.hostile import Asked, HostileMeter
from tests.adapters.modbus.images import CAPTURES, image, image_of
from tests.adapters.modbus.test_command import running

IMAGES = sorted(CAPTURES.glob("*.yaml"))


@dataclass
class StrictMeter(HostileMeter):
    """Knows its own registers in its own table, and refuses what lies beyond a gap."""

    function: int = 3
    known: frozenset[int] = field(default_factory=frozenset)

    def honest(self, asked: Asked) -> bytes:
        if asked.function != self.function:
            return self.frame(asked, bytes([asked.function | 0x80, 1]))
        if not {asked.address, asked.address + asked.count - 1} <= self.known:
            return self.frame(asked, bytes([asked.function | 0x80, 2]))
        return super().honest(asked)


def strict(model: str, words: dict[int, int], *, unit: int = 1) -> StrictMeter:
    meter_map = load_map(model)
    near = {a + d for a in words for d in range(-16, 17)}
    return StrictMeter(
        words=words,
        unit=unit,
        function=3 if meter_map.table == "holding" else 4,
        known=frozenset(near),
    )


def found(meter: HostileMeter, *, unit: int | None = None) -> Finding:
    async def run() -> Finding:
        async with meter.listening() as port:
            connection = f"tcp://127.0.0.1:{port}?timeout_s=0.2"
            return await detect(connection, unit=unit, seconds=30, pause_s=0.0)

    return asyncio.run(run())


def turned(words: dict[int, int], meter_map: MeterMap) -> dict[int, int]:
    """Return the image of the same device with the words of every number turned around."""
    swapped = dict(words)
    for point in meter_map.points.values():
        for at in starts(point):
            size = point.type.size
            for offset in range(size):
                swapped[at + offset] = words[at + size - 1 - offset]
    return swapped


def starts(point: Point) -> Iterator[int]:
    yield point.at
    if point.minus_at is not None:
        yield point.minus_at


@pytest.mark.parametrize("kind", ["permissive", "strict"])
def test_right_model_is_found_for_every_map_with_at_most_one_wrong(kind: str) -> None:
    wrong: list[str] = []
    for path in IMAGES:
        shown = image(path)
        permissive = HostileMeter(words=shown.words)
        finding = found(permissive if kind == "permissive" else strict(shown.model, shown.words))
        names = [finding.best.model, *(twin.model for twin in finding.twins)]
        right = shown.model in names and finding.best.unit == 1
        is_as_mapped = (finding.best.word_order, finding.best.register_offset) == (None, 0)
        if not (right and is_as_mapped):
            wrong.append(f"{path.stem}: {names}")
    assert len(wrong) <= 1, wrong


def test_twins_are_few_and_named() -> None:
    """A model that is not the best must be one whose registers nothing tells apart."""
    ambiguous = {}
    for path in IMAGES:
        shown = image(path)
        finding = found(strict(shown.model, shown.words))
        if finding.best.model != shown.model:
            ambiguous[path.stem] = finding.best.model
    assert ambiguous.keys() <= {
        "carlo-gavazzi-em24-e1",
        "eastron-sdm72-v2",
        "fronius-smart-meter-203",
        "fronius-smart-meter-213",
        "solaredge-meter-203",
        "solaredge-meter-213",
        "sunspec-meter-203",
        "sunspec-meter-213",
        "inepro-pro380",
        "klefr-693x",
        "wago-879-3000",
    }, ambiguous


@pytest.mark.parametrize("name", ["eastron-sdm630", "shelly-pro-3em", "abb-b23", "janitza-umg604"])
def test_turned_words_are_found_and_written_down(name: str) -> None:
    shown = image_of(name)
    meter_map = load_map(shown.model)
    finding = found(strict(shown.model, turned(shown.words, meter_map)))
    expected = "little" if meter_map.word_order == "big" else "big"
    assert (finding.best.model, finding.best.word_order) == (shown.model, expected)
    assert f"word_order: {expected}" in site_lines(finding.best)[1]


@pytest.mark.parametrize("offset", [1, -1])
def test_firmware_that_counts_otherwise_is_found(offset: int) -> None:
    shown = image_of("schneider-iem3000")
    moved = {address + offset: word for address, word in shown.words.items()}
    finding = found(strict(shown.model, moved))
    assert (finding.best.model, finding.best.register_offset) == (shown.model, offset)


@pytest.mark.parametrize("unit", [2, 71, 200])
def test_unit_is_found(unit: int) -> None:
    shown = image_of("siemens-pac2200")
    finding = found(strict(shown.model, shown.words, unit=unit))
    assert (finding.best.model, finding.best.unit) == (shown.model, unit)


def test_gateway_without_modbus_tcp_is_found() -> None:
    shown = image_of("eastron-sdm630")
    meter = HostileMeter(words=shown.words, rtu=True)

    async def run() -> Finding:
        async with meter.listening() as port:
            return await detect(f"rtu+tcp://127.0.0.1:{port}?timeout_s=0.2", unit=1, seconds=30)

    finding = asyncio.run(run())
    assert finding.best.model == "eastron/sdm630"
    assert finding.best.connection.startswith("rtu+tcp://")


def test_device_that_says_what_it_is_has_no_twin() -> None:
    shown = image_of("carlo-gavazzi-em24-e1")
    finding = found(HostileMeter(words=shown.words | {11: 1650}))
    assert (finding.best.model, finding.twins) == ("carlo-gavazzi/em24-e1", ())


def test_sunspec_maker_decides_the_sign_of_export() -> None:
    shown = image_of("solaredge-meter-203")
    name = b"SolarEdge".ljust(32, b"\0")
    text = {40004 + i: int.from_bytes(name[2 * i : 2 * i + 2], "big") for i in range(16)}
    finding = found(HostileMeter(words=shown.words | text))
    assert (finding.best.model, finding.confidence) == ("solaredge/meter", Confidence.HIGH)


def test_models_that_differ_only_in_sign_are_told() -> None:
    finding = found(HostileMeter(words=image_of("solaredge-meter-203").words))
    assert finding.confidence is Confidence.LOW
    assert "they differ in the sign of export" in told(finding)


def test_unloaded_meter_is_found_with_less_confidence() -> None:
    shown = image_of("eastron-sdm630")
    idle = {
        a: (0 if 6 <= a < 18 or 30 <= a < 36 or a in (52, 53) else w)
        for a, w in shown.words.items()
    }
    finding = found(HostileMeter(words=idle))
    assert finding.best.model == "eastron/sdm630"
    assert finding.confidence is Confidence.MEDIUM


def test_device_that_is_no_meter_is_not_taken_for_one() -> None:
    with pytest.raises(NothingFoundError, match="unit 1 answers, and no model"):
        found(HostileMeter(words={}), unit=1)


@dataclass
class MuteMeter(StrictMeter):
    """Leaves unanswered what it does not know."""

    def honest(self, asked: Asked) -> bytes:
        answer = super().honest(asked)
        is_refusal = bool(answer[7] & 0x80)
        return b"" if is_refusal else answer


@dataclass
class LossyMeter(StrictMeter):
    """Every fifth answer is lost on the way."""

    def honest(self, asked: Asked) -> bytes:
        return b"" if len(self.asked) % 5 == 4 else super().honest(asked)


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        (MuteMeter, "eastron-sdm630"),
        (MuteMeter, "janitza-umg604"),
        (LossyMeter, "eastron-sdm630"),
    ],
)
def test_unanswered_reads_do_not_hide_the_meter(kind: type[StrictMeter], name: str) -> None:
    shown = image_of(name)
    plain = strict(shown.model, shown.words)
    meter = kind(words=plain.words, function=plain.function, known=plain.known)

    async def run() -> Finding:
        async with meter.listening() as port:
            connection = f"tcp://127.0.0.1:{port}?timeout_s=0.1"
            return await detect(connection, unit=1, seconds=60, pause_s=0.0)

    finding = asyncio.run(run())
    assert (finding.best.model, finding.confidence) == (shown.model, Confidence.HIGH)


def test_search_among_strangers_says_that_it_ended() -> None:
    @dataclass
    class Everybody:
        """Equals every unit."""

        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = None  # type: ignore[assignment]

    meter = HostileMeter(words={}, unit=Everybody())  # type: ignore[arg-type]
    with pytest.raises(NothingFoundError, match=r"unit 1, 2, 3 answers.*give --unit"):
        found(meter)


def test_search_ends_in_time() -> None:
    async def run() -> None:
        async with HostileMeter(words={}, unit=250).listening() as port:
            await detect(f"tcp://127.0.0.1:{port}?timeout_s=0.3", seconds=0.5)

    with pytest.raises(NothingFoundError, match=r"nothing was found in 0\.5 s"):
        asyncio.run(run())


def test_nothing_is_ever_written() -> None:
    meter = HostileMeter(words=image_of("abb-b23").words)
    found(meter)
    assert {asked.function for asked in meter.asked} <= {3, 4}


def test_lines_for_the_site_file_load(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with running(HostileMeter(words=image_of("kostal-ksem").words)) as port:
        status = detect_command(f"tcp://127.0.0.1:{port}", None, 30.0)
    printed = capsys.readouterr().out
    lines = printed.partition("For the site file:")[2].strip()
    entry = YAML(typ="safe").load(lines)["meters"]["main"]
    text = (
        "format: site/1\nsite: {id: a, name: A, timezone: UTC}\n"
        f"{lines}\ncircuits:\n  main: {{limit_a: 63, meter: main, building_peak_a: 40}}\n"
    )
    site = load_site_text(text, tmp_path / "site.yaml", known_models=known_models())
    assert (status, entry["model"]) == (0, "kostal/ksem")
    assert [m.model for m in site.site.meters.values()] == ["kostal/ksem"]
    assert "high: voltages, frequency" in printed


def test_power_in_another_unit_contradicts_the_current() -> None:
    shown = image_of("schneider-iem3000").values
    in_kilowatts = {n: v / 1000.0 if n.startswith("power_") else v for n, v in shown.items()}
    meter_map = load_map("schneider/iem3000")
    assert judged(meter_map, shown) is not None  # type: ignore[arg-type]
    assert judged(meter_map, in_kilowatts) is None  # type: ignore[arg-type]
