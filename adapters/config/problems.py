"""What is wrong with a site file: where, why, and what to write instead."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from controller.certificate import Certificate

KeyPath = tuple[str, ...]
"""Keys from the top of the file downwards, for example `("circuits", "main", "limit_a")`."""


class Spot(Enum):
    """Which end of a line a finding points at."""

    KEY = "key"
    VALUE = "value"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """A problem or a remark before it is known on which line it stands."""

    path: KeyPath
    text: str
    mend: str
    spot: Spot = Spot.VALUE


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One reason why a site file is refused."""

    file: Path
    line: int
    """From 1."""
    column: int | None
    """From 1. None: the whole line, or the whole file."""
    path: str
    """Dotted keys, for example `stations.CP001.evses.1.min_a`; empty for the file as a whole."""
    text: str
    mend: str
    """What to write instead, in words for the person who installs."""

    def __str__(self) -> str:
        """Return one line that editors can jump to."""
        subject = f"{self.path}: " if self.path else ""
        return (
            f"{self.file}:{self.line}: {subject}{_sentence(self.text)} Mend: {_sentence(self.mend)}"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Remark:
    """Something allowed that deserves a second look."""

    file: Path
    line: int
    path: str
    text: str

    def __str__(self) -> str:
        """Return one line that editors can jump to."""
        return f"{self.file}:{self.line}: {self.path}: {_sentence(self.text)}"


def _sentence(text: str) -> str:
    return text if text.endswith("?") else f"{text}."


class SiteFileError(Exception):
    """The site file is refused; `problems` lists every reason, in the order of the lines."""

    def __init__(
        self, problems: Iterable[Problem], *, certificate: Certificate | None = None
    ) -> None:
        """Keep all problems, and the certificate when that is what does not hold."""
        self.certificate = certificate
        self.problems = tuple(sorted(problems, key=lambda p: (p.line, p.column or 0, p.path)))
        super().__init__("\n".join(str(problem) for problem in self.problems))
