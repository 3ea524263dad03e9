"""A process that is killed while it writes. Prints each number once the store has confirmed it."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tests.adapters.store.store_site import a_sample, a_transaction, opened


async def write_for_ever(path: Path, first: int) -> None:
    async with opened(path) as store:
        number = first
        while True:
            store.put_samples([a_sample(number)] * 50)
            await store.open_transaction(a_transaction(number), offline=False)
            sys.stdout.write(f"{number}\n")
            sys.stdout.flush()
            number += 1


if __name__ == "__main__":
    asyncio.run(write_for_ever(Path(sys.argv[1]), int(sys.argv[2])))
