"""Register images of meters, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from adapters.modbus.client import Registers
from adapters.modbus.frames import ReadRequest

CAPTURES = Path(__file__).parent / "captures"


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """What a meter's registers hold, and what that means with our signs."""

    model: str
    words: dict[int, int]
    values: dict[str, float]


def image(path: Path) -> Image:
    content: Any = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    words = {
        start + offset: word
        for start, run in content["registers"].items()
        for offset, word in enumerate(run)
    }
    return Image(model=content["model"], words=words, values=content["values"])


def image_of(name: str) -> Image:
    return image(CAPTURES / f"{name}.yaml")


class Memory:
    """Answers from an image, as a connection would."""

    def __init__(self, words: dict[int, int]) -> None:
        self.words = words
        self.asked: list[ReadRequest] = []

    async def read(self, request: ReadRequest, *, silence_s: float) -> Registers:
        self.asked.append(request)
        span = range(request.address, request.address + request.count)
        return Registers(words=tuple(self.words.get(address, 0) for address in span))
