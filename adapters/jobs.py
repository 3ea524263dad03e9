"""Timed jobs. They only trigger: no work is done in a job's own call."""

from __future__ import annotations

from collections.abc import Callable

from apscheduler.schedulers.asyncio import AsyncIOScheduler


def scheduled(jobs: dict[str, tuple[float, Callable[[], object]]]) -> AsyncIOScheduler:
    """Return a scheduler that calls each job every so many seconds on the running loop.

    A job that is late runs once, never twice; jobs of the same name never overlap.
    """
    scheduler = AsyncIOScheduler(
        timezone="UTC",
        job_defaults={"coalesce": True, "max_instances": 1, "misfire_grace_time": 30},
    )
    for name, (every_s, job) in jobs.items():
        scheduler.add_job(job, "interval", seconds=every_s, id=name, name=name)
    return scheduler
