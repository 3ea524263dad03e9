"""What was decided is decided again to the last bit, from the store alone."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from adapters.cli.replay import _setpoints_a, decided, plain_plan, read_golden, replay_command
from adapters.cli.whatif import ReplayError
from tests.adapters.store.store_site import opened
from tests.controller.test_cycle import Scene


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """The store of a site on which a vehicle was raised."""
    path = tmp_path / "site.db"

    async def scenario() -> None:
        async with opened(path) as store:
            scene = Scene()
            scene.cycle._recorder = store
            scene.charging()
            await scene.cycles(6)
            await store.flush()

    asyncio.run(scenario())
    return path


def test_a_recorded_stretch_is_decided_again_bit_for_bit(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay_command(recording, [], None) == 0
    assert "0 differently" in capsys.readouterr().out


def test_a_smaller_fuse_would_have_given_less(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay_command(recording, ["main.limit_a=40"], None) == 0
    assert "32.0 A as it was, 26.0 A so" in capsys.readouterr().out


def test_with_more_chargers_each_would_have_had_less(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay_command(recording, ["CP001.copies=2"], None) == 0
    out = capsys.readouterr().out
    assert "32.0 A as it was, 49.0 A so" in out, "63 A less the building's 14 A"
    assert "per vehicle         32.0 A as it was, 16.3 A so (1.0 and 3.0 vehicles)" in out
    assert "without current     0.0 vehicles as it was, 0.0 so" in out


def test_with_many_more_chargers_some_would_have_waited(
    recording: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert replay_command(recording, ["CP001.copies=9"], None) == 0
    assert "without current     0.0 vehicles as it was, 2.0 so" in capsys.readouterr().out


def test_another_policy_by_name(recording: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert replay_command(recording, ["policy.name=first_come"], None) == 0
    assert "policy.name=first_come" in capsys.readouterr().out


@pytest.mark.parametrize(
    "question",
    [
        "main.limit_a",
        "main.colour=3",
        "nobody.max_a=3",
        "x=y",
        "main.limit_a=many",
        "main.limit_a=-5",
        "CP001.copies=0.5",
        "CP001.copies=100000",
        "policy.name=richest_first",
        "policy.colour=3",
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_words(
    recording: Path, capsys: pytest.CaptureFixture[str], question: str
) -> None:
    assert replay_command(recording, [question], None) == 2
    assert "--set" in capsys.readouterr().err


def test_a_recorded_cycle_becomes_a_golden_scenario(recording: Path, tmp_path: Path) -> None:
    golden = tmp_path / "golden.json"

    assert replay_command(recording, [], golden) == 0
    assert json.loads(golden.read_text())["setpoints_a"] == {"CP001/1": 32.0}

    moment, setpoints_a = read_golden(golden)
    assert _setpoints_a(plain_plan(decided(moment))) == setpoints_a


def test_what_is_no_golden_scenario_is_named(tmp_path: Path) -> None:
    path = tmp_path / "golden.json"
    path.write_text('{"snapshot": {}}')

    with pytest.raises(ReplayError, match=r"golden.json: is no golden scenario"):
        read_golden(path)
