"""What keys of the configuration are made of: kinds of values, their bounds, and what every section shares.

A kind reads what the file, the environment or a secret's file says, and is written back as the file would say it.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainSerializer, PlainValidator, ValidationInfo

from protocol.value import Reference
from resolver import config_units as units
from resolver.config_units import Endpoint, Network

KIB: Final = 1 << 10
MIB: Final = 1 << 20
TIB: Final = 1 << 40
_Number = TypeVar("_Number", int, float)


def setting(default: object, *, description: str, **bounds: int) -> Any:
    """A key with its default as the file would write it, and the line that explains it."""
    return Field(default, description=description, **bounds)  # type: ignore[call-overload]


def within(
    read: Callable[[object], _Number], show: Callable[[_Number], str], low: _Number, high: _Number
) -> PlainValidator:
    """A validator that reads a quantity and refuses one outside of `low` and `high`, both allowed."""

    def checked(value: object) -> _Number:
        found = read(value)
        if not low <= found <= high:
            raise ValueError(f"{show(found)} is not between {show(low)} and {show(high)}")
        return found

    return PlainValidator(checked)


def listed(value: object) -> object:
    """A text as a list: what an environment variable or a secret's file can say."""
    if isinstance(value, str):
        return [part.strip() for part in value.replace("\n", ",").split(",") if part.strip()]
    return value


def _path(value: object, info: ValidationInfo) -> Path | None:
    if not isinstance(value, (str, Path)):
        raise ValueError(f"{value!r} is no path as text")
    if "\0" in str(value):
        raise ValueError("a path with a NUL")
    folder: Path = (info.context or {}).get("folder", Path())
    return folder / value if str(value) else None


def _needed_path(value: object, info: ValidationInfo) -> Path:
    found = _path(value, info)
    if found is None:
        raise ValueError("an empty path")
    return found


def _place(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"{value!r} is no text like 192.0.2.1:2641")
    return "{}:{}".format(*units.place(value)) if value else ""


def octets(low: int, high: int) -> PlainValidator:
    """A validator of a size from `low` to `high` octets."""
    return within(units.size, units.size_text, low, high)


def seconds(low: float, high: float) -> PlainValidator:
    """A validator of a duration from `low` to `high` seconds."""
    return within(units.duration, units.duration_text, low, high)


AS_DURATION: Final = PlainSerializer(units.duration_text)
AS_SIZE: Final = PlainSerializer(units.size_text)
AS_TEXT: Final = PlainSerializer(str)
AS_PATH: Final = PlainSerializer(units.path_text)

SomePath = Annotated[Path | None, PlainValidator(_path), AS_PATH]
"""A file that may be left out: the empty text is None."""
NeededPath = Annotated[Path, PlainValidator(_needed_path), AS_PATH]
ServerPlace = Annotated[str, PlainValidator(_place)]
"""`host:port` of a server that is asked, or the empty text."""
Endpoints = Annotated[tuple[Annotated[Endpoint, PlainValidator(Endpoint.of), AS_TEXT], ...], BeforeValidator(listed)]
Networks = Annotated[tuple[Annotated[Network, PlainValidator(units.network), AS_TEXT], ...], BeforeValidator(listed)]
References = Annotated[
    tuple[Annotated[Reference, PlainValidator(units.admin_reference), PlainSerializer(units.reference_text)], ...],
    BeforeValidator(listed),
]


class Section(BaseModel):
    """What all sections share: frozen, no unknown key, defaults read like values."""

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=True)
