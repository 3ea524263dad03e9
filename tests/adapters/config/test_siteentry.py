"""An approval as a change of the site file: what a refusal of the change means for it."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from adapters import siteentry
from adapters.siteentry import SiteEntries
from controller.administration import ConfigVersion, VersionState
from controller.care import AdoptedEvse, Approval
from controller.configuration import (
    Changed,
    ChangeRefused,
    ChangeResult,
    ConfigProblem,
    CurrentConfig,
    Effect,
    Proposal,
    RefusalKind,
    Review,
)
from controller.site import StationId

NEW = StationId("NEW1")
APPROVAL = Approval(circuit="main", evses=(AdoptedEvse(number=1, max_a=16.0),))
VERSION = ConfigVersion(
    number=2,
    text="",
    actor="ada",
    note="",
    at=datetime(2026, 3, 1, tzinfo=UTC),
    state=VersionState.TRIAL,
)
DONE = Changed(
    version=VERSION,
    effect=Effect(circuits=(), stations=(), keys=(), restart=()),
    trial_s=10.0,
)


def refused(kind: RefusalKind) -> ChangeRefused:
    return ChangeRefused(kind=kind, text="It was not done.", mend="Do it again.")


class Answers:
    """A configuration that answers each change as told."""

    def __init__(self, *answers: ChangeResult) -> None:
        self.answers = list(answers)
        self.proposals: list[Proposal] = []
        self.data: Mapping[str, Any] = {"format": "site/1", "stations": {"CP001": {"circuit": "x"}}}

    async def current(self) -> CurrentConfig:
        return CurrentConfig(version=VERSION, data=self.data, file_changed=False, restart=())

    async def review(self, proposal: Proposal) -> Review:
        return Review(text="")

    async def change(self, proposal: Proposal) -> ChangeResult:
        self.proposals.append(proposal)
        return self.answers.pop(0)


def added(answers: Answers) -> bool:
    return asyncio.run(SiteEntries(answers).add(NEW, APPROVAL, "ada"))


def test_the_entry_is_added_to_what_is_there() -> None:
    answers = Answers(DONE)
    assert added(answers)

    [proposal] = answers.proposals
    assert proposal.data == {
        "format": "site/1",
        "stations": {
            "CP001": {"circuit": "x"},
            "NEW1": {"circuit": "main", "evses": {"1": {"max_a": 16.0, "phases": 3}}},
        },
    }
    assert (proposal.actor, proposal.note) == ("ada", "NEW1 approved")


def test_a_site_without_stations_gets_its_first() -> None:
    answers = Answers(DONE)
    answers.data = {"format": "site/1"}
    assert added(answers)
    assert answers.proposals[0].data is not None
    assert list(answers.proposals[0].data["stations"]) == ["NEW1"]


@pytest.mark.parametrize("kind", [RefusalKind.FILE_LOCKED, RefusalKind.NOT_KEPT])
def test_a_file_that_is_not_ours_to_write_is_left_to_the_electrician(kind: RefusalKind) -> None:
    assert not added(Answers(refused(kind)))


@pytest.mark.parametrize("kind", [RefusalKind.FILE_EDITED, RefusalKind.OUTDATED])
def test_another_refusal_is_told_with_its_mend(kind: RefusalKind) -> None:
    with pytest.raises(ValueError, match=r"It was not done\. Do it again\."):
        added(Answers(refused(kind)))


def test_a_trial_under_way_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siteentry, "LOOK_S", 0.01)
    answers = Answers(*[refused(RefusalKind.ON_TRIAL)] * 3, DONE)
    assert added(answers)
    assert len(answers.proposals) == 4


def test_a_trial_without_an_end_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(siteentry, "WAIT_S", 0.0)
    with pytest.raises(ValueError, match="not done"):
        added(Answers(refused(RefusalKind.ON_TRIAL)))


def test_a_file_that_would_not_be_valid_is_told_with_the_place() -> None:
    problem = ConfigProblem(line=3, column=1, path="circuits.main", text="too much", mend="")
    with pytest.raises(ValueError, match=r"circuits\.main: too much"):
        added(Answers(replace(Review(text=""), problems=(problem,))))
