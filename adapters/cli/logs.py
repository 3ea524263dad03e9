"""Structured logs: one JSON line each on a pipe or under systemd, readable lines on a terminal."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog


def configure_logs(*, stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Send structured logs to a stream; standard error by default."""
    out = stream if stream is not None else sys.stderr
    renderer = (
        structlog.dev.ConsoleRenderer()
        if out.isatty()
        else structlog.processors.JSONRenderer(ensure_ascii=True)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.StackInfoRenderer(),
            structlog.processors.format_exc_info,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(file=out),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(stream=out, level=logging.WARNING, format="%(name)s: %(message)s")
    for noisy in ("pymodbus", "apscheduler", "websockets", "uvicorn", "uvicorn.access"):
        logging.getLogger(noisy).setLevel(logging.CRITICAL)
