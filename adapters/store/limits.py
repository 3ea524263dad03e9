"""How much the store keeps."""

from __future__ import annotations

from dataclasses import dataclass

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreLimits:
    """Bounds of everything that grows by itself. Transactions and the audit log have none."""

    queued_samples: int = 50_000
    """Samples waiting for the disk; beyond it the oldest are dropped and counted."""
    queued_cycles: int = 60
    samples_age_s: float = 7 * 86_400.0
    samples_bytes: int = 1024 * MIB
    """Payload of stored samples; the file is about 1.3 times as large. [B]"""
    rollups_age_s: tuple[float, float, float] = (
        60 * 86_400.0,
        2 * 366 * 86_400.0,
        10 * 366 * 86_400.0,
    )
    """How long the roll-ups of a minute, a quarter of an hour and an hour are kept. [s]"""
    rollups_rows: tuple[int, int, int] = (10_000_000, 10_000_000, 10_000_000)
    """Most rows of each; a row of a charger is about 120 bytes in the file."""
    cycles: int = 50_000
    cycles_bytes: int = 256 * MIB
    """Compressed payload of stored cycle records. [B]"""
    quarantined: int = 10_000
    alarms: int = 100_000
    reasons: int = 1_000_000
    """Changes of what limits an EVSE, for looking back."""
    reserve_bytes: int = 64 * MIB
    """Free disk space below which samples and cycles stay in memory, so that transactions fit. [B]"""
