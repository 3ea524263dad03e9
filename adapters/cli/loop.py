"""The event loop: uvloop where it exists."""

from __future__ import annotations

import asyncio
import gc
import sys
from collections.abc import Coroutine
from typing import Any, TypeVar

import uvloop

T = TypeVar("T")

COLLECT_AFTER = (20_000, 20, 20)
"""Rows that come and go are no cycles: with the defaults the collector ran 40 times a second."""

THREAD_SWITCH_S = 0.0005
"""A thread that computes lets the loop in after so long. The default, 5 ms, delayed each turn of the
loop by 5 ms while an outage of the time-series server was made up for (`benchmarks/history.py`). [s]"""


def run_on_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run to the end on a fresh loop."""
    sys.setswitchinterval(THREAD_SWITCH_S)
    # What is loaded by now stays. Looking at it again made full collections of 300 ms, which stop
    # every thread, while an outage was made up for (`benchmarks/history.py`).
    gc.collect()
    gc.freeze()
    gc.set_threshold(*COLLECT_AFTER)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(work)
