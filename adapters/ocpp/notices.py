"""Conditions about stations: bounded in number, and over when nothing happens any more."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping

from controller.decision import Condition, Severity
from controller.ports import Clock, ConditionSink

_MAX_PER_CODE = 50


class Notices:
    """Begins conditions that strangers can cause. They end on request, with age, or by number."""

    def __init__(self, *, sink: ConditionSink, clock: Clock) -> None:
        self._sink = sink
        self._clock = clock
        self._ends_at_s: dict[str, OrderedDict[str, float]] = {}

    def begin(
        self,
        code: str,
        subject: str,
        text: str,
        *,
        severity: Severity,
        lasts_s: float,
        values: Mapping[str, str] | None = None,
    ) -> None:
        """Begin or prolong a condition.

        Args:
            code: Code of the condition.
            subject: Station concerned.
            text: What is wrong and what to do.
            severity: How soon somebody should look.
            lasts_s: How long it stays when it is not begun again. [s]
            values: What the text names besides the subject, for catalogues of texts.
        """
        subjects = self._ends_at_s.setdefault(code, OrderedDict())
        if subject not in subjects:
            self._sink.begin(
                Condition(
                    code=code,
                    subject=subject,
                    text=text,
                    severity=severity,
                    values=values or {},
                )
            )
        subjects[subject] = self._clock.monotonic_s() + lasts_s
        subjects.move_to_end(subject)
        if len(subjects) > _MAX_PER_CODE:
            oldest, _ = subjects.popitem(last=False)
            self._sink.end(code, oldest)

    def end(self, code: str, subject: str) -> None:
        """End a condition; one that is not in force is ignored."""
        if self._ends_at_s.get(code, OrderedDict()).pop(subject, None) is not None:
            self._sink.end(code, subject)

    def expire(self) -> None:
        """End what has not been begun again for its time."""
        now_s = self._clock.monotonic_s()
        for code, subjects in self._ends_at_s.items():
            for subject in [s for s, end_s in subjects.items() if end_s <= now_s]:
                self.end(code, subject)
