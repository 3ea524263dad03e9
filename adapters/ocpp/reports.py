"""Puts together what a station sends in parts: reports of variables, monitors, profiles, customers.

Source: OCPP 2.0.1 B06 to B08, N02, N09, K09, O03: parts carry the request's id and `tbc`, most of
them also `seqNo` from 0.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

MAX_OPEN = 8
"""Reports that may be incomplete at once."""
MAX_ITEMS = 10_000
"""Items per report; further ones are dropped and the report is marked."""


@dataclass(slots=True, kw_only=True)
class Report:
    """One report."""

    parts: dict[int, list[Any]] = field(default_factory=dict)
    last: int | None = None
    """Number of the last part; None: not heard yet."""
    count: int = 0
    is_cut: bool = False

    @property
    def is_complete(self) -> bool:
        """Whether every part from 0 to the last is there."""
        return self.last is not None and len(self.parts) == self.last + 1

    @property
    def items(self) -> tuple[Any, ...]:
        """All items in the order of their parts."""
        return tuple(item for number in sorted(self.parts) for item in self.parts[number])


class Reassembly:
    """The reports of one station, bounded in number and size."""

    def __init__(self) -> None:
        self._open: OrderedDict[tuple[str, int], Report] = OrderedDict()

    def add(
        self, action: str, request_id: int, number: int | None, items: Iterable[Any], *, tbc: bool
    ) -> Report | None:
        """Take in a part; parts may come in any order and more than once.

        Args:
            action: Name of the message.
            request_id: Of the request it answers.
            number: `seqNo`; None: the message has none and parts come in order.
            items: What the part holds.
            tbc: Whether more is to come.

        Returns:
            The report when it is complete, otherwise None.
        """
        key = (action, request_id)
        report = self._open.setdefault(key, Report())
        self._open.move_to_end(key)
        while len(self._open) > MAX_OPEN:
            self._open.popitem(last=False)
        number = len(report.parts) if number is None else number
        if number not in report.parts and 0 <= number < MAX_ITEMS:
            room = MAX_ITEMS - report.count
            taken = list(items)
            report.is_cut = report.is_cut or len(taken) > room
            report.parts[number] = taken[:room]
            report.count += len(report.parts[number])
        if not tbc:
            report.last = number
        if not report.is_complete:
            return None
        del self._open[key]
        return report
