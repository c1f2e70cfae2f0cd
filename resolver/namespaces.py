"""Handles that are not stored but computed: finds the namespace and the base record, and has the template evaluated.

Everything is looked up in this node's own store. Sources: behaviours 14; spec, records: section 7.
"""

from collections.abc import Callable
from functools import lru_cache
from typing import Final

from protocol import identifier
from protocol.computed.namespace import HS_NAMESPACE, Namespace, namespace_of
from protocol.computed.template import computed, cut
from protocol.errors import Malformed
from protocol.limits import HANDLE_SIZE_MAX
from protocol.value import read_values, value_list
from protocol.wire import Reader
from storage.base import Record, StoreView

NAMESPACES_REMEMBERED_MAX: Final = 256
"""Parsed namespaces that are kept: a node homes about a thousand prefixes, few of which have one."""


class BadNamespace(Exception):
    """The configured namespace is none. The text says why."""


class Namespaces:
    """What is inherited by all prefixes: a `delimiter` and a `namespace` (HS_NAMESPACE XML), each may be missing."""

    def __init__(self, *, delimiter: str = "", namespace: bytes | None = None, case_sensitive: bool = False) -> None:
        self._delimiter = delimiter.encode() or None
        self._case_sensitive = case_sensitive
        try:
            self._inherited = None if namespace is None else Namespace.read(namespace)
        except Malformed as error:
            raise BadNamespace(f"the configured namespace cannot be read: {error}") from error
        # The same prefix is asked for again and again: its namespace is parsed once for each content of its record.
        self._of_record: Callable[[bytes], Namespace | None] = lru_cache(NAMESPACES_REMEMBERED_MAX)(self._parsed)

    def values_of(self, view: StoreView, handle: bytes) -> bytes | None:
        """The value list of a handle that is not stored, or None where it does not exist."""
        prefix = view.get(identifier.prefix_handle(handle))
        has_own = prefix is not None and HS_NAMESPACE in prefix.values.upper()
        namespace = self._of_record(prefix.values) if prefix is not None and has_own else self._inherited
        delimiter = (None if namespace is None else namespace.delimiter) or self._delimiter
        asked = None if delimiter is None else cut(handle, delimiter)
        if asked is None:
            return None
        base = view.get(asked.base) if asked.base else None
        if base is None and namespace is None:
            return None

        def load(index: int, named: bytes) -> bytes | None:
            return _data_of(view.get(named), index) if _can_be_named(named) else None

        values = computed(
            asked,
            namespace=namespace,
            base_values=None if base is None else read_values(Reader(base.values)),
            load=load,
            case_sensitive=self._case_sensitive,
        )
        return None if values is None else value_list(values)

    def _parsed(self, values: bytes) -> Namespace | None:
        own = namespace_of(read_values(Reader(values)))
        return self._inherited if own is None else own.inheriting(self._inherited)


def _can_be_named(handle: bytes) -> bool:
    return 0 < len(handle) <= HANDLE_SIZE_MAX and identifier.is_utf8(handle)


def _data_of(record: Record | None, index: int) -> bytes | None:
    values = () if record is None else read_values(Reader(record.values))
    return next((value.data for value in values if value.index == index), None)
