"""Alarms: conditions with a begin and an end. Logged, stored and shown once each."""

from __future__ import annotations

import threading
from collections.abc import Container, Iterable
from dataclasses import replace
from datetime import datetime

from controller.decision import Alarm, Condition

RESTORE_S = 120.0
"""After a restart what stood before has so long to be told again. [s]"""
Key = tuple[str, str]
"""Code and subject."""


class AlarmBook:
    """The alarms in force. Implements `ConditionSink`; safe from any thread.

    Conditions come from two sides: the decision restates all of its own every cycle, adapters
    report begin and end. Both land here, and changes are collected for the store and the screens.
    """

    def __init__(self) -> None:
        """Start without alarms."""
        self._lock = threading.Lock()
        self._reported: dict[Key, Condition] = {}
        self._active: dict[Key, Alarm] = {}
        self._awaited: set[Key] = set()
        """In force when the last run ended, and not told again yet."""

    def restore(self, open_alarms: Iterable[Alarm], at: datetime) -> tuple[Alarm, ...]:
        """Take over what was in force when the last run ended; it goes on until `settle`.

        Returns:
            Alarms to be ended: a condition stands once, since it began first.
        """
        twice = []
        with self._lock:
            for alarm in sorted(open_alarms, key=lambda a: a.begin):
                key = _key(alarm.condition)
                if key in self._active:
                    twice.append(replace(alarm, end=max(at, alarm.begin)))
                    continue
                self._active[key] = alarm
                self._awaited.add(key)
        return tuple(twice)

    def settle(self, unheard: Container[str] = frozenset()) -> bool:
        """Wait no longer: what was not told again since the restart is over.

        Args:
            unheard: Subjects that could not tell yet; theirs go on.

        Returns:
            Whether some are still waited for.
        """
        with self._lock:
            self._awaited = {key for key in self._awaited if key[1] in unheard}
            return bool(self._awaited)

    def begin(self, condition: Condition) -> None:
        """Report a condition from an adapter."""
        with self._lock:
            self._reported[_key(condition)] = condition

    def end(self, code: str, subject: str) -> None:
        """Report that an adapter's condition is over."""
        with self._lock:
            self._reported.pop((code, subject), None)
            self._awaited.discard((code, subject))

    def update(self, decided: Iterable[Condition], at: datetime) -> tuple[Alarm, ...]:
        """Merge a decision's conditions with the reported ones.

        Returns:
            Alarms that began or ended with this call.
        """
        with self._lock:
            now = {_key(c): c for c in decided} | self._reported
            self._awaited -= now.keys()
            begun = [k for k in now if k not in self._active]
            ended = [k for k in self._active if k not in now and k not in self._awaited]
            changes = [replace(self._active.pop(k), end=at) for k in ended]
            for key, condition in now.items():
                begin = self._active[key].begin if key in self._active else at
                self._active[key] = Alarm(condition=condition, begin=begin)
            return (*changes, *(self._active[k] for k in begun))

    def active(self) -> tuple[Alarm, ...]:
        """Return the alarms in force, oldest first."""
        with self._lock:
            return tuple(sorted(self._active.values(), key=lambda a: (a.begin, _key(a.condition))))


def _key(condition: Condition) -> Key:
    return (condition.code, condition.subject)
