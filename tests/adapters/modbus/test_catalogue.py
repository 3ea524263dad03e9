"""Every shipped map: it loads, it decodes its image, its values can be true."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from adapters.modbus.catalogue import (
    MeterModelError,
    all_models,
    catalogue,
    known_models,
    load_map,
    read_map,
)
from adapters.modbus.plausibility import MeterLimits, implausible
from adapters.modbus.reader import MeterReader, MeterSample
from adapters.modbus.registermap import CURRENTS, MeterMap, decode, signed
from adapters.modbus.table import DOCUMENT, filled
from tests.adapters.modbus.images import CAPTURES, Memory, image

FILES = sorted(catalogue().glob("*/*.yaml"))
IMAGES = sorted(CAPTURES.glob("*.yaml"))


def read_image(path: Path) -> MeterSample:
    shown = image(path)
    reader = MeterReader(load_map(shown.model), unit=1)
    poll = asyncio.run(reader.read(Memory(shown.words)))  # type: ignore[arg-type]
    assert isinstance(poll, MeterSample), poll
    return poll


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}/{path.stem}")
def test_every_map_is_valid_and_lives_where_its_maker_says(path: Path) -> None:
    entry = read_map(path)
    words = path.parent.name.replace("-", " ")
    assert entry.maker.lower().replace("-", " ").startswith(words)


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_image_decodes_to_its_values(path: Path) -> None:
    assert image(path).values == pytest.approx(dict(read_image(path).values), rel=1e-6)


@pytest.mark.parametrize("path", IMAGES, ids=lambda path: path.stem)
def test_image_is_plausible(path: Path) -> None:
    assert implausible(read_image(path).values, MeterLimits(max_a=63.0), None) == ()


def test_every_usable_map_has_an_image() -> None:
    assert known_models() == {image(path).model for path in IMAGES}


def test_known_are_the_usable_entries_one_by_one_and_together() -> None:
    usable = {m for m, entry in all_models().items() if isinstance(entry, MeterMap)}
    refused = all_models().keys() - usable

    assert set(known_models()) == usable
    assert len(known_models()) == len(usable)
    assert all(model in known_models() for model in usable)
    assert not any(model in known_models() for model in refused)


@pytest.mark.parametrize(
    "model", ["../meters/eastron/sdm630", "eastron/../eastron/sdm630", "/etc/passwd", "", "eastron"]
)
def test_a_name_is_no_path(model: str) -> None:
    assert model not in known_models()
    with pytest.raises(MeterModelError, match="is unknown; known are abb/"):
        load_map(model)


def test_catalogue_covers_the_meters_that_sites_have() -> None:
    expected = {
        "eastron/sdm630",
        "eastron/sdm72-v2",
        "carlo-gavazzi/em24-rtu",
        "carlo-gavazzi/em24-e1",
        "carlo-gavazzi/em340",
        "janitza/umg96",
        "janitza/umg604",
        "abb/b23",
        "siemens/pac2200",
        "schneider/iem3000",
        "schneider/pm5000",
        "kostal/ksem",
        "sunspec/meter",
    }
    assert set() == expected - known_models()


def test_meter_without_phase_currents_is_refused_with_a_way_out() -> None:
    with pytest.raises(MeterModelError, match=r"total of the three phases.*eastron/sdm72-v2"):
        load_map("eastron/sdm72")


@pytest.mark.parametrize("model", ["acme/none", "../../etc/passwd", "eastron/sdm630.yaml", ""])
def test_unknown_model_names_the_known_ones(model: str) -> None:
    with pytest.raises(MeterModelError, match=r"is unknown; known are abb/b23, .*eastron/sdm630"):
        load_map(model)


def minimal_map(**changes: str) -> str:
    lines = {
        "format": "meter-map/1",
        "maker": "Acme",
        "model": "One",
        "source": "the maker's register list",
        "evidence": "1",
        "table": "holding",
        "word_order": "big",
        "max_block": "60",
        "current_sign": "from_power",
        "power_sign": "import_positive",
        "points": "{"
        + ", ".join(
            f"{quantity}_l{phase}_{unit}: {{at: {at + 2 * phase}, type: float32}}"
            for quantity, unit, at in (("current", "a", 0), ("power", "w", 6))
            for phase in (1, 2, 3)
        )
        + "}",
    } | changes
    return "\n".join(f"{key}: {value}" for key, value in lines.items() if value)


def test_minimal_map_is_accepted(tmp_path: Path) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(minimal_map())
    assert isinstance(read_map(path), MeterMap)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"points": "{current_l1_ma: {at: 0, type: int16}}"}, "current_l1_ma"),
        ({"points": "{current_l1_a: {at: 0, type: int16}}"}, "current_l2_a, current_l3_a, power"),
        ({"points": ""}, "either points or a sunspec section"),
        ({"format": "meter-map/2"}, "format"),
        ({"evidence": "0"}, "evidence"),
        ({"power": "1"}, "power: Extra inputs"),
        ({"max_block": "126"}, "max_block"),
        ({"max_block": "1"}, "a block is longer than max_block"),
        ({"max_block": "6"}, "two blocks have the same length"),
        ({"blocks": "[[2, 4], [6, 7]]"}, "no block of at most 60 registers holds power_l3_w"),
        ({"maker": "[unclosed"}, "one.yaml"),
        ({"maker": "Acme\nmaker: Twice"}, "duplicate key"),
    ],
)
def test_wrong_map_names_file_and_problem(
    tmp_path: Path, changes: dict[str, str], problem: str
) -> None:
    path = tmp_path / "one.yaml"
    path.write_text(minimal_map(**changes))
    with pytest.raises(MeterModelError) as refused:
        read_map(path)
    assert str(path) in str(refused.value)
    assert problem in str(refused.value)


def test_table_of_the_documentation_is_that_of_the_maps() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert text == filled(text), "run: python -m adapters.modbus.table"


def test_ratio_registers_multiply_and_their_absence_leaves_values_out() -> None:
    shown = image(CAPTURES / "chint-dtsu666.yaml")
    meter_map = load_map("chint/dtsu666")
    assert decode(meter_map, shown.words | {6: 40})["current_l1_a"] == pytest.approx(40 * 41.25)
    assert "current_l1_a" not in decode(meter_map, shown.words | {6: 0})


def test_current_without_direction_counts_as_import() -> None:
    shown = image(CAPTURES / "dzg-dvh4013.yaml")
    values = signed(load_map("dzg/dvh4013"), decode(load_map("dzg/dvh4013"), shown.words))
    assert [values[name] for name in CURRENTS] == [41.25, 3.5, 12.75]


def test_offset_that_leads_out_of_the_registers_is_refused() -> None:
    with pytest.raises(ValueError, match="leads out of"):
        load_map("eastron/sdm630").deviating(word_order=None, register_offset=-1)


def test_sunspec_device_has_no_offset() -> None:
    with pytest.raises(ValueError, match="found by its mark"):
        load_map("sunspec/meter").deviating(word_order=None, register_offset=1)
