"""The captured messages: one JSON file, read once. Nothing here knows how to read a message."""

import json
from functools import cache
from pathlib import Path
from typing import Any

_FILE = Path(__file__).parent.parent / "vectors" / "handle-v9.json"


@cache
def vectors() -> dict[str, Any]:
    """The whole file."""
    found: dict[str, Any] = json.loads(_FILE.read_text(encoding="utf-8"))
    return found


def messages() -> list[dict[str, Any]]:
    """All captured messages."""
    found: list[dict[str, Any]] = vectors()["messages"]
    return found


def message(name: str) -> dict[str, Any]:
    """The message of that name."""
    return next(vector for vector in messages() if vector["name"] == name)


def octets(name: str) -> bytes:
    """The octets of the message of that name."""
    return bytes.fromhex(message(name)["hex"])
