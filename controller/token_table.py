"""Tokens as a table that spreadsheets read and write: CSV text to records and back. Pure.

What a spreadsheet does to such a table is expected: a byte order mark, semicolons, a missing column,
a quote before what looks like a formula. What it destroys is refused with the line and the mend.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from math import isfinite

from controller.records import TokenKind, TokenRecord, TokenStatus
from controller.site import StationId
from controller.transaction import IdToken

COLUMNS = (
    "id",
    "status",
    "label",
    "group",
    "expires_at",
    "priority",
    "kind",
    "max_a",
    "stations",
    "concurrent",
)
MAX_LINES = 100_000
MAX_ID = 36
"""Source: OCPP 2.0.1 IdTokenType.idToken. 1.6 takes 20. [character]"""
LEAST_MAX_A = 6.0
"""Source: IEC 61851-1; below it no vehicle charges. [A]"""
_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_MANGLED = re.compile(r"\d(?:[.,]\d+)?E\+\d+", re.IGNORECASE)
_SEPARATORS = ",;\t"
_SETTABLE = {s.value: s for s in TokenStatus if s is not TokenStatus.CONCURRENT_TX}


@dataclass(frozen=True, slots=True, kw_only=True)
class TableProblem:
    """What is wrong with a line, and how to mend it."""

    line: int
    """From 1, the heading included, as editors count."""
    text: str
    mend: str

    def __str__(self) -> str:
        return f"line {self.line}: {self.text}; {self.mend}"


class TableError(Exception):
    """A table that cannot be read; nothing of it was taken."""

    def __init__(self, problems: Sequence[TableProblem]) -> None:
        super().__init__("\n".join(str(p) for p in problems))
        self.problems = tuple(problems)


class _Bad(Exception):  # noqa: N818 - carries a finding to its line
    def __init__(self, text: str, mend: str) -> None:
        super().__init__(text)
        self.text = text
        self.mend = mend


def tokens_to_csv(records: Iterable[TokenRecord]) -> str:
    """Write a table; no cell of it is a formula."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(COLUMNS)
    for r in records:
        cells = (
            r.id,
            r.status.value,
            r.label,
            r.group or "",
            "" if r.expires_at is None else r.expires_at.astimezone(UTC).isoformat(),
            str(r.priority),
            r.kind.value,
            "" if r.max_a is None else f"{r.max_a:g}",
            " ".join(r.stations),
            "" if r.concurrent is None else str(r.concurrent),
        )
        writer.writerow([_guarded(cell) for cell in cells])
    return out.getvalue()


def tokens_from_csv(text: str) -> tuple[TokenRecord, ...]:
    """Read a table.

    Args:
        text: With a heading; separated by commas, semicolons or tabs; columns in any order.

    Raises:
        TableError: With every problem found.
    """
    lines = text.removeprefix("\ufeff")
    rows = _rows(lines)
    if len(rows) > MAX_LINES:
        raise _one(MAX_LINES + 1, "the table is too long", f"split it at {MAX_LINES} lines")
    heading = _heading(rows)
    problems: list[TableProblem] = []
    records: dict[str, TokenRecord] = {}
    lines_of: dict[str, int] = {}
    for number, row in enumerate(rows[1:], start=2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            record = _record(_cells(heading, row))
            key = record.id.casefold()
            if key in records:
                raise _Bad(f"{record.id} stands in line {lines_of[key]} already", "remove one")
            records[key], lines_of[key] = record, number
        except _Bad as bad:
            problems.append(TableProblem(line=number, text=bad.text, mend=bad.mend))
    if problems:
        raise TableError(problems)
    return tuple(records.values())


def _rows(lines: str) -> list[list[str]]:
    """Split a table into cells.

    Raises:
        TableError: It is no table: a cell without an end, or a character that none may hold.
    """
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=_separator(lines), strict=False)
    rows: list[list[str]] = []
    try:
        rows.extend(reader)
    except csv.Error as error:
        raise _one(
            reader.line_num, f"this is no table ({error})", "save it as `CSV UTF-8` again"
        ) from error
    return rows


def _one(line: int, text: str, mend: str) -> TableError:
    return TableError([TableProblem(line=line, text=text, mend=mend)])


def _separator(text: str) -> str:
    """Return the separator of the heading; Excel writes semicolons where commas are decimal."""
    heading = text.partition("\n")[0]
    return max(_SEPARATORS, key=heading.count)


def _heading(rows: Sequence[Sequence[str]]) -> tuple[str, ...]:
    if not rows:
        raise _one(1, "the table is empty", f"begin with the heading {','.join(COLUMNS)}")
    names = tuple(name.strip().lower() for name in rows[0])
    unknown = [name for name in names if name not in COLUMNS]
    known = ", ".join(COLUMNS)
    if unknown:
        raise _one(1, f"there is no column {unknown[0]!r}", f"use {known}; only id is needed")
    if "id" not in names:
        raise _one(1, "the heading has no column id", f"begin with {','.join(COLUMNS)}")
    if len(set(names)) != len(names):
        raise _one(1, "a column stands twice in the heading", "remove one")
    return names


def _cells(heading: Sequence[str], row: Sequence[str]) -> Mapping[str, str]:
    if len(row) > len(heading) and any(cell.strip() for cell in row[len(heading) :]):
        raise _Bad(
            f"{len(row)} cells under {len(heading)} headings", 'put texts with separators in "..."'
        )
    return {name: _unguarded(cell) for name, cell in zip(heading, row, strict=False)}


def _record(cells: Mapping[str, str]) -> TokenRecord:
    return TokenRecord(
        id=_token(cells["id"]) or _missing(),
        status=_status(cells.get("status", "")),
        label=_label(cells.get("label", "")),
        group=_token(cells.get("group", "")),
        expires_at=_time(cells.get("expires_at", "")),
        priority=_whole("priority", cells.get("priority", ""), -1000, 1000) or 0,
        kind=_kind(cells.get("kind", "")),
        max_a=_max_a(cells.get("max_a", "")),
        stations=tuple(StationId(name) for name in cells.get("stations", "").split()),
        concurrent=_whole("concurrent", cells.get("concurrent", ""), 1, 1000),
    )


def _missing() -> IdToken:
    raise _Bad("there is no id", "write the token's number, as the reader shows it")


def _token(text: str) -> IdToken | None:
    if not text:
        return None
    if _MANGLED.fullmatch(text):
        raise _Bad(
            f"{text} was a number with many digits before a spreadsheet rounded it",
            "format the column as text and enter the token again",
        )
    if len(text) > MAX_ID or not text.isprintable():
        raise _Bad(f"{text[:40]!r} is no token", f"write at most {MAX_ID} printable characters")
    return IdToken(text)


def _status(text: str) -> TokenStatus:
    if not text:
        return TokenStatus.ACCEPTED
    try:
        return _SETTABLE[text.lower()]
    except KeyError:
        raise _Bad(f"there is no status {text!r}", f"write {', '.join(_SETTABLE)}") from None


def _kind(text: str) -> TokenKind:
    if not text:
        return TokenKind.ISO14443
    for kind in TokenKind:
        if kind.value.lower() == text.lower():
            return kind
    raise _Bad(f"there is no kind {text!r}", f"write {', '.join(k.value for k in TokenKind)}")


def _label(text: str) -> str:
    if len(text) > 100 or not text.isprintable():
        raise _Bad("the label is too long or not printable", "write at most 100 characters")
    return text


def _time(text: str) -> datetime | None:
    if not text:
        return None
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise _Bad(
            f"{text!r} is no time", "write it like 2027-01-31 or 2027-01-31T18:00:00+01:00"
        ) from None
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def _whole(name: str, text: str, least: int, most: int) -> int | None:
    if not text:
        return None
    try:
        number = int(text)
    except ValueError:
        number = most + 1
    if not least <= number <= most:
        raise _Bad(f"{name}: {text!r}", f"write a whole number from {least} to {most}")
    return number


def _max_a(text: str) -> float | None:
    if not text:
        return None
    try:
        max_a = float(text.replace(",", "."))
    except ValueError:
        max_a = -1.0
    if not (isfinite(max_a) and LEAST_MAX_A <= max_a <= 1000):
        raise _Bad(f"max_a: {text!r}", f"write amperes from {LEAST_MAX_A:g} to 1000, or nothing")
    return max_a


def _guarded(cell: str) -> str:
    """Keep a spreadsheet from reading a text as a formula."""
    return "'" + cell if cell.startswith(_FORMULA) else cell


def _unguarded(cell: str) -> str:
    text = cell.strip()
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text
