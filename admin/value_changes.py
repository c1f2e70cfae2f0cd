"""Values put into a record as the protocol's operations put them: add and modify. Changes no store."""

from collections.abc import Sequence
from dataclasses import replace

from protocol.errors import HandleNotFound, InvalidValue, ValueExists, ValuesNotFound
from protocol.value import HandleValue, read_values, value_list
from protocol.wire import Reader
from storage.base import Record


def _indexes(values: Sequence[HandleValue]) -> list[int]:
    indexes = [value.index for value in values]
    twice = sorted({index for index in indexes if indexes.count(index) > 1})
    if twice:
        raise InvalidValue(f"index {twice[0]} is given twice")
    return indexes


def _values_of(record: Record | None) -> list[HandleValue]:
    if record is None:
        raise HandleNotFound("the handle does not exist")
    return list(read_values(Reader(record.values)))


def added(record: Record | None, values: Sequence[HandleValue], *, overwrite: bool, value_count: int) -> Record:
    """The record with these values too, in order of their indexes; `ValueExists` where one stands already.

    With `overwrite` it is replaced instead.
    """
    new = set(_indexes(values))
    old = _values_of(record)
    taken = sorted(new & {value.index for value in old})
    if taken and not overwrite:
        raise ValueExists(f"a value stands at {', '.join(map(str, taken))}")
    together = sorted(
        [*(value for value in old if value.index not in new), *values], key=lambda value: value.index
    )  # As the software in service does: one added value sorts the whole record (behaviours 8).
    if len(together) > value_count:
        raise InvalidValue(f"the record would have {len(together):,} values: at most {value_count:,} are allowed")
    assert record is not None
    return Record(record.handle, value_list(together))


def modified(record: Record | None, values: Sequence[HandleValue]) -> Record:
    """The record with these values in place of those at their indexes; `ValuesNotFound` where one is missing."""
    indexes = _indexes(values)
    old = _values_of(record)
    missing = sorted(set(indexes) - {value.index for value in old})
    if missing:
        raise ValuesNotFound(f"there is no value at {', '.join(map(str, missing))}")
    new = {value.index: value for value in values}
    together = [
        replace(new[value.index], references=value.references) if value.index in new else value for value in old
    ]
    assert record is not None
    return Record(record.handle, value_list(together))
