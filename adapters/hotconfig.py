"""The site file of the running controller: versions, changes on trial, roll-back, the file on disk."""

from __future__ import annotations

import asyncio
import json
import os
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final, Protocol

import structlog

from adapters.config.editing import edited
from adapters.config.effect import effect_of
from adapters.config.loader import SiteFile
from adapters.config.problems import Problem, SiteFileError
from adapters.config.source import parse, read_text
from controller.administration import ConfigVersion, VersionState, VersionStore
from controller.configuration import (
    Changed,
    ChangeRefused,
    ChangeResult,
    ConfigProblem,
    CurrentConfig,
    Proposal,
    RefusalKind,
    Review,
)
from controller.cycle import CycleStats
from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink
from controller.records import AuditEntry
from controller.site import Site

log = structlog.get_logger(__name__)

TRIAL_CYCLES: Final = 3
"""So many cycles in a row have to go through before a change counts as good."""
TRIAL_INTERVALS: Final = 5.0
LEAST_TRIAL_S: Final = 10.0
"""A change is rolled back when they have not after so long. [s]"""
LOOK_S: Final = 0.1
ROLLED_BACK: Final = "CONFIG_ROLLED_BACK"
EDITED: Final = "CONFIG_FILE_EDITED"
UNSAVED: Final = "CONFIG_FILE_UNSAVED"
FILE_ACTOR: Final = "(file)"


class ConfigStore(VersionStore, Protocol):
    """Versions and the audit log."""

    async def audit(self, entry: AuditEntry) -> None:
        """Append to the audit log."""


class Host(Protocol):
    """The running controller, as far as a change concerns it."""

    @property
    def stats(self) -> CycleStats:
        """Figures of the control loop."""

    async def apply(self, file: SiteFile) -> None:
        """Put a site and policy in force between two cycles."""

    def in_use(self, site: Site) -> tuple[str, ...]:
        """Name the EVSEs that a site lacks and that may still draw current, with the reason."""

    def warnings(self, site: Site) -> tuple[str, ...]:
        """Say what a site takes for granted that stations out of reach do not know yet."""


class SiteConfiguration:
    """Implements `Configuration` over a site file."""

    def __init__(
        self,
        file: SiteFile,
        *,
        load: Callable[[str], SiteFile],
        host: Host,
        store: ConfigStore,
        conditions: ConditionSink,
        clock: Clock,
    ) -> None:
        """Start with what the controller was started with.

        Args:
            file: The site file in force.
            load: Checks a text; raises SiteFileError.
            host: The running controller.
            store: Keeps versions.
            conditions: Where to report.
            clock: Time.
        """
        self._path = file.file
        self._booted = file
        self._file = file
        self._disk_text = file.text
        self._load = load
        self._host = host
        self._store = store
        self._conditions = conditions
        self._clock = clock
        self._lock = asyncio.Lock()
        self._version: ConfigVersion
        self._trial: asyncio.Task[None] | None = None

    async def begin(self) -> None:
        """Note what is in force: the running version, or a new one when the file was edited."""
        known = await self._store.versions(limit=50, offset=0)
        for version in known:
            if version.state is VersionState.TRIAL:
                # The process ended amid its trial, perhaps by its fault: the file is still the old.
                await self._store.set_version_state(version.number, VersionState.ROLLED_BACK)
        settled = (VersionState.RUNNING, VersionState.SUPERSEDED)
        newest = next((v for v in known if v.state in settled), None)
        if newest is not None and newest.text == self._file.text:
            if newest.state is not VersionState.RUNNING:
                await self._store.set_version_state(newest.number, VersionState.RUNNING)
            self._version = replace(newest, state=VersionState.RUNNING)
            return
        self._version = await self._store.add_version(
            text=self._file.text,
            actor=FILE_ACTOR,
            note="as started" if newest is None else "the file was edited",
            at=self._clock.now(),
            state=VersionState.RUNNING,
        )

    async def close(self) -> None:
        """Stop watching a change; one that is still on trial counts as not made."""
        if self._trial is not None:
            self._trial.cancel()
            # Not `await` with its CancelledError suppressed: that hides our own cancellation too.
            await asyncio.wait({self._trial})

    # --- reading ----------------------------------------------------------------------------------

    async def current(self) -> CurrentConfig:
        """Return what is in force."""
        data = await asyncio.to_thread(lambda: parse(self._file.text, self._path).data)
        effect = effect_of(self._booted, self._file, booted=self._booted)
        return CurrentConfig(
            version=self._version,
            data=data if isinstance(data, Mapping) else {},
            file_changed=await self.look_at_file(),
            restart=effect.restart,
        )

    async def look_at_file(self) -> bool:
        """Tell whether somebody edited the file; that is shown as long as it is so."""
        on_disk = await asyncio.to_thread(_text_of, self._path)
        is_edited = on_disk is not None and on_disk != self._disk_text
        if is_edited:
            self._conditions.begin(_edited(self._path))
        else:
            self._conditions.end(EDITED, "configuration")
        return is_edited

    async def review(self, proposal: Proposal) -> Review:
        """Say what a change would do, without making it."""
        review, _ = await self._reviewed(proposal)
        return review

    async def _reviewed(self, proposal: Proposal) -> tuple[Review, SiteFile | None]:
        before = self._file
        text = ""
        try:
            text = await asyncio.to_thread(self._text, proposal, before.text)
            after = await asyncio.to_thread(self._load, text)
        except SiteFileError as error:
            return Review(text=text, problems=tuple(map(_problem, error.problems))), None
        effect = await asyncio.to_thread(effect_of, before, after, booted=self._booted)
        remarks = tuple(f"line {r.line}, {r.path}: {r.text}" for r in after.remarks)
        effect = replace(effect, warnings=(*self._host.warnings(after.site), *remarks))
        return Review(text=text, effect=effect), after

    def _text(self, proposal: Proposal, present: str) -> str:
        if proposal.data is not None:
            return edited(present, proposal.data, self._path)
        return proposal.text or ""

    # --- changing ---------------------------------------------------------------------------------

    async def change(self, proposal: Proposal) -> ChangeResult:
        """Put a change in force between two cycles; it is rolled back when these fail."""
        async with self._lock:
            refused = await self._refusal(proposal)
            if refused is not None:
                return refused
            review, after = await self._reviewed(proposal)
            if after is None or review.effect is None:
                return review
            if after.text == self._file.text and after.text == self._disk_text:
                return Changed(version=self._version, effect=review.effect, trial_s=0.0)
            refused = await self._refusal_of(proposal, after)
            if refused is not None:
                return refused
            version = await self._put_in_force(after, proposal)
            return Changed(version=version, effect=review.effect, trial_s=self._trial_s(after))

    async def _refusal(self, proposal: Proposal) -> ChangeRefused | None:
        if self._trial is not None and not self._trial.done():
            return ChangeRefused(
                kind=RefusalKind.ON_TRIAL,
                text=f"Version {self._version.number} is on trial for its first cycles.",
                mend="Wait a few seconds, read the configuration again, and send the change.",
            )
        if proposal.expected is not None and proposal.expected != self._version.number:
            return ChangeRefused(
                kind=RefusalKind.OUTDATED,
                text=f"Version {self._version.number} by {self._version.actor} is in force; the "
                f"change was made from version {proposal.expected}.",
                mend="Read it again, look at what is different, and send the change with the new "
                "ETag.",
            )
        if not _is_writable(self._path):
            return ChangeRefused(
                kind=RefusalKind.FILE_LOCKED,
                text=f"{self._path} may not be written by this controller.",
                mend="Let its user write the file and its folder, or edit the file and restart.",
            )
        return None

    async def _refusal_of(self, proposal: Proposal, after: SiteFile) -> ChangeRefused | None:
        on_disk = await asyncio.to_thread(_text_of, self._path)
        is_edited = on_disk is not None and on_disk not in (self._disk_text, after.text)
        if is_edited and not proposal.overwrite:
            return ChangeRefused(
                kind=RefusalKind.FILE_EDITED,
                text=f"{self._path} was edited since it was read.",
                mend="Bring its edits into this change, or send it with `overwrite`.",
            )
        in_use = self._host.in_use(after.site)
        if in_use:
            return ChangeRefused(
                kind=RefusalKind.IN_USE,
                text=f"EVSEs to be removed may still draw current: {'; '.join(in_use)}.",
                mend="Stop their sessions (pausing keeps a session running), wait until their "
                "leases have ended, then remove them.",
            )
        return None

    async def _put_in_force(self, after: SiteFile, proposal: Proposal) -> ConfigVersion:
        before, was = self._file, self._version
        version = await self._store.add_version(
            text=after.text,
            actor=proposal.actor,
            note=proposal.note,
            at=self._clock.now(),
            state=VersionState.TRIAL,
        )
        baseline = (self._host.stats.cycles, self._host.stats.failures)
        await self._host.apply(after)
        self._file, self._version = after, version
        await self._audit(proposal.actor, "config.change", was, version)
        self._trial = asyncio.create_task(
            self._watch(before, was, baseline), name="configuration-trial"
        )
        return version

    # --- trial ------------------------------------------------------------------------------------

    def _trial_s(self, file: SiteFile) -> float:
        return max(LEAST_TRIAL_S, TRIAL_INTERVALS * file.policy.interval_s)

    async def _watch(self, before: SiteFile, was: ConfigVersion, base: tuple[int, int]) -> None:
        """Wait for good cycles; undo the change when one fails or they do not come."""
        fault = await self._fault(base)
        try:
            if fault is None:
                await self._accept()
            else:
                await self._roll_back(before, was, fault)
        except Exception:
            # The shell of a background task: control goes on with what is in force.
            log.exception("config.trial_failed", version=self._version.number)

    async def _fault(self, base: tuple[int, int]) -> str | None:
        cycles, failures = base
        most_s = self._trial_s(self._file)
        deadline_s = self._clock.monotonic_s() + most_s
        while self._clock.monotonic_s() < deadline_s:
            stats = self._host.stats
            if stats.failures > failures:
                return "a control cycle failed"
            if stats.cycles >= cycles + TRIAL_CYCLES:
                return None
            await asyncio.sleep(LOOK_S)
        return f"no {TRIAL_CYCLES} control cycles went through within {most_s:g} s"

    async def _accept(self) -> None:
        try:
            await asyncio.to_thread(_write, self._path, self._file.text)
            self._disk_text = self._file.text
            self._conditions.end(UNSAVED, "configuration")
        except OSError as error:
            self._conditions.begin(_unsaved(self._path, error))
        await self._store.set_version_state(self._version.number, VersionState.RUNNING)
        self._version = replace(self._version, state=VersionState.RUNNING)
        self._conditions.end(ROLLED_BACK, "configuration")
        log.info("config.accepted", version=self._version.number)

    async def _roll_back(self, before: SiteFile, was: ConfigVersion, fault: str) -> None:
        failed = self._version
        await self._host.apply(before)
        self._file, self._version = before, replace(was, state=VersionState.RUNNING)
        self._conditions.begin(_rolled_back(failed, was, fault))
        log.error("config.rolled_back", version=failed.number, to=was.number, fault=fault)
        await self._store.set_version_state(failed.number, VersionState.ROLLED_BACK)
        await self._store.set_version_state(was.number, VersionState.RUNNING)
        await self._audit("(controller)", "config.roll_back", failed, was)

    async def _audit(
        self, actor: str, action: str, before: ConfigVersion, after: ConfigVersion
    ) -> None:
        entry = AuditEntry(
            at=self._clock.now(),
            actor=actor,
            action=action,
            subject="configuration",
            before=json.dumps({"version": before.number}),
            after=json.dumps({"version": after.number, "note": after.note}),
        )
        await self._store.audit(entry)


def _problem(problem: Problem) -> ConfigProblem:
    return ConfigProblem(
        line=problem.line,
        column=problem.column,
        path=problem.path,
        text=problem.text,
        mend=problem.mend,
    )


# --- the file ---------------------------------------------------------------------------------------


def _text_of(path: Path) -> str | None:
    """Return the file's text; None: it cannot be read now."""
    try:
        return read_text(path)
    except SiteFileError:
        return None


def _is_writable(path: Path) -> bool:
    return os.access(path.parent, os.W_OK) and (not path.exists() or os.access(path, os.W_OK))


def _write(path: Path, text: str) -> None:
    """Replace the file in one step: whoever reads it, and a power cut, finds the old or the new."""
    target = path.resolve()
    descriptor, name = tempfile.mkstemp(prefix=f".{target.name}.", dir=target.parent)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
            if target.exists():
                os.fchmod(file.fileno(), target.stat().st_mode & 0o777)
        Path(name).replace(target)
    except OSError:
        Path(name).unlink(missing_ok=True)
        raise
    folder = os.open(target.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


# --- conditions -------------------------------------------------------------------------------------


def _rolled_back(failed: ConfigVersion, to: ConfigVersion, fault: str) -> Condition:
    return Condition(
        code=ROLLED_BACK,
        subject="configuration",
        text=f"Version {failed.number} of the configuration, by {failed.actor}, was taken back: "
        f"{fault}. Version {to.number} is in force again. Look at the log before trying again.",
        severity=Severity.ALARM,
        values={
            "version": f"{failed.number}",
            "actor": failed.actor,
            "fault": fault,
            "to": f"{to.number}",
        },
    )


def _edited(path: Path) -> Condition:
    return Condition(
        code=EDITED,
        subject="configuration",
        text=f"{path} was edited and is not in force as it stands. Apply it in the settings, or "
        "restart the controller.",
        severity=Severity.WARNING,
    )


def _unsaved(path: Path, error: OSError) -> Condition:
    return Condition(
        code=UNSAVED,
        subject="configuration",
        text=f"The configuration in force could not be written to {path} "
        f"({error.strerror or error}) and is lost at a restart. Free space or allow writing, then "
        "save it again.",
        severity=Severity.ALARM,
    )
