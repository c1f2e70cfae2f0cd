"""Namespace and base record → the values of a handle that is not stored. Reads no store, knows no XML.

A template is a stranger's program: its elements, text, output, patterns and references are all counted, and beyond the
bounds the handle is not found. Source: spec, records: section 7.
"""

import re
from collections import ChainMap
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from protocol.computed.namespace import (
    DEFAULT_VARIABLE,
    Content,
    Define,
    ForEach,
    If,
    Namespace,
    Node,
    NotFound,
    Template,
    Value,
    namespace_of,
)
from protocol.computed.pattern import PATTERN_WORK_MAX, pattern
from protocol.errors import Malformed
from protocol.limits import (
    NAMESPACE_OUTPUT_MAX,
    NAMESPACE_REFERENCES_MAX,
    NAMESPACE_STEPS_MAX,
    PATTERN_INPUT_MAX,
    VALUE_COUNT_MAX,
)
from protocol.value import HandleValue

NAMESPACE_TEXT_MAX: Final = 2 * NAMESPACE_OUTPUT_MAX  # Octets of text read and filled in for a handle: 0.1 s at most.

_VARIABLE_COST: Final = 8  # Octets of text that could be copied in the time that finding one variable takes, and more.
_INDEX_MAX: Final = 0x7FFFFFFF
_GROUP_DIGITS_MAX: Final = 3  # A pattern has far fewer groups: longer numbers name none.
# `\x`, `${name}` and `$n`. A name ends before the next `$`, so that text full of `${` is looked at once only.
_VARIABLES: Final = re.compile(rb"\\(.)|\$\{([^${}]*)\}|\$(\d+)", re.DOTALL)
_NAME: Final = re.compile(rb"(.*?)(?:\[(\d+)\])?", re.DOTALL)

Load = Callable[[int, bytes], bytes | None]
"""Gives the data of the value `index` of `handle`, or None where there is none."""

Scope = ChainMap[bytes, tuple[bytes, ...]]
"""Names → text and the groups of the pattern that it matched."""


@dataclass(frozen=True, slots=True)
class ExtendedHandle:
    """A handle that is cut in two: what is stored under `base` may say what `handle` means."""

    handle: bytes
    base: bytes
    extension: bytes


def cut(handle: bytes, delimiter: bytes) -> ExtendedHandle | None:
    """The handle cut at the first delimiter behind its prefix; None where it has none there."""
    position = handle.find(delimiter, handle.find(b"/") + 1)
    if not delimiter or position < 0:
        return None
    return ExtendedHandle(handle, handle[:position], handle[position + len(delimiter) :])


def computed(
    asked: ExtendedHandle,
    *,
    namespace: Namespace | None,
    base_values: Sequence[HandleValue] | None,
    load: Load,
    case_sensitive: bool = False,
) -> tuple[HandleValue, ...] | None:
    """The values of an extended handle, in order; None where it is not found. May be empty.

    `namespace` is that of the prefix, with its own parent's tags; a namespace in the base record overrides it.
    `base_values` is None where there is no base record. `load` is asked for templates that stand in other values.
    """
    own = namespace_of(base_values or ())
    effective = namespace if own is None else own.inheriting(namespace)
    if effective is None or effective.template is None:
        return None if base_values is None else tuple(base_values)
    try:
        content = _resolved(effective.template, load).content
        return _Evaluation(asked, base_values or (), case_sensitive=case_sensitive).values(content)
    except _RefusedError:
        return None


class _RefusedError(Exception):
    """The handle is not found: the template says so, cannot be obeyed, or goes beyond a bound."""


def _resolved(template: Template, load: Load) -> Template:
    """The template at the end of a chain of references."""
    references = 0
    while template.reference is not None:
        references += 1
        if references > NAMESPACE_REFERENCES_MAX:
            raise _RefusedError("too many templates that refer to templates")
        octets = load(template.reference.index, template.reference.handle)
        try:
            found = None if octets is None else Template.read(octets)
        except Malformed:
            found = None
        if found is None:
            raise _RefusedError(f"no template at {template.reference}")
        template = found
    return template


class _Budget:
    """What is left of something that a template may use."""

    __slots__ = ("_left", "_what")

    def __init__(self, what: str, amount: int) -> None:
        self._what = what
        self._left = amount

    def spend(self, amount: int) -> None:
        self._left -= amount
        if self._left < 0:
            raise _RefusedError(f"too much {self._what}")


@dataclass(slots=True)
class _Output:
    """Values in their order, each with an index of its own. In a definition only their data counts."""

    is_definition: bool = False
    values: list[HandleValue] = field(default_factory=list)
    _higher: dict[int, int] = field(default_factory=dict)  # Taken index → one above it, as near to a free one as known.

    def add(self, value: HandleValue) -> None:
        if len(self.values) >= VALUE_COUNT_MAX:
            raise _RefusedError("too many values")
        self.values.append(replace(value, index=self._free(value.index)))

    def _free(self, index: int) -> int:
        passed = []
        while index in self._higher:
            passed.append(index)
            index = self._higher[index]
        if index > _INDEX_MAX:
            raise _RefusedError("no index is free")
        for taken in (*passed, index):  # Many values of one index would else cost the square of their number.
            self._higher[taken] = index + 1
        return index


class _Evaluation:
    """One run of a template."""

    def __init__(self, asked: ExtendedHandle, base_values: Sequence[HandleValue], *, case_sensitive: bool) -> None:
        self._base_values = base_values
        self._case_sensitive = case_sensitive
        self._scope = Scope({b"handle": (asked.handle,), b"base": (asked.base,), b"extension": (asked.extension,)})
        self._steps = _Budget("elements", NAMESPACE_STEPS_MAX)
        self._text = _Budget("template text", NAMESPACE_TEXT_MAX)
        self._octets = _Budget("output", NAMESPACE_OUTPUT_MAX)
        self._work = _Budget("pattern matching", PATTERN_WORK_MAX)

    def values(self, content: Content) -> tuple[HandleValue, ...]:
        output = _Output()
        self._run(content, self._scope, output, None)
        return tuple(output.values)

    def _run(self, content: Content, scope: Scope, output: _Output, original: HandleValue | None) -> None:
        """Obey the content. `original` is the value of the base record that a `foreach` is at."""
        for node in content:
            self._steps.spend(1)
            self._obey(node, scope, output, original)

    def _obey(self, node: Node, scope: Scope, output: _Output, original: HandleValue | None) -> None:
        match node:
            case ForEach():
                for value in self._base_values:
                    self._steps.spend(1)
                    self._run(node.content, _with_value(scope, value), output, value)
            case Value():
                self._make(node, scope, output, original)
            case If():
                inner = scope.new_child()
                content = node.content if self._holds(node, inner) else node.otherwise
                self._run(content, inner, output, original)
            case Define():
                defined = _Output(is_definition=True)
                self._run(node.content, scope.new_child(), defined, original)
                scope[node.parameter] = (defined.values[0].data if defined.values else b"",)
            case NotFound():
                raise _RefusedError("the template says so")

    def _make(self, node: Value, scope: Scope, output: _Output, original: HandleValue | None) -> None:
        kind = None if node.type is None else self._filled(node.type, scope)
        data = None if node.data is None else self._filled(node.data, scope)
        if original is not None:
            index = original.index if node.index is None else node.index
            kind = original.type if kind is None else kind
            data = original.data if data is None else data
            value = replace(original, index=index, type=kind, data=data)
        elif data is not None and (kind is not None or output.is_definition):
            value = HandleValue(index=1, type=kind or b"", data=data)  # Whatever index is given: seen in service.
        else:
            return
        if not output.is_definition:
            self._octets.spend(len(value.type) + len(value.data))
        output.add(value)

    def _holds(self, node: If, scope: Scope) -> bool:
        """Whether the condition is fulfilled; the parameter, with its groups, is set in the scope."""
        text = _looked_up(scope, node.variable)
        groups = self._matched(node.expression, text) if node.is_pattern else None
        if groups is not None:
            scope[node.parameter] = groups
        elif node.parameter != node.variable:  # Else the variable stays, with the groups of a pattern further out.
            scope[node.parameter] = (text,)
        holds = text == node.expression if not node.is_pattern else groups is not None
        return holds != node.negate

    def _matched(self, expression: bytes, text: bytes) -> tuple[bytes, ...] | None:
        found = pattern(expression, case_sensitive=self._case_sensitive)
        if found is None or len(text) > PATTERN_INPUT_MAX:
            raise _RefusedError("a pattern or its text beyond the bounds")
        self._work.spend(found.work(text))
        return found.groups(text)

    def _filled(self, text: bytes, scope: Scope) -> bytes:
        """The text with its variables replaced."""
        self._text.spend(len(text))
        return b"".join(self._pieces(text, scope))

    def _pieces(self, text: bytes, scope: Scope) -> Iterator[bytes]:
        position = 0
        for found in _VARIABLES.finditer(text):
            yield text[position : found.start()]
            escaped, name, group = found.groups()
            piece = _replacement(scope, escaped, name, group)
            self._text.spend(_VARIABLE_COST + len(piece))
            yield piece
            position = found.end()
        yield text[position:]


def _with_value(scope: Scope, value: HandleValue) -> Scope:
    return scope.new_child({b"type": (value.type,), b"data": (value.data,), b"index": (b"%d" % value.index,)})


def _replacement(scope: Scope, escaped: bytes | None, name: bytes | None, group: bytes | None) -> bytes:
    if escaped is not None:
        return escaped
    if group is None and name is not None and not name.isdigit():
        return _looked_up(scope, name)
    return _group(scope, DEFAULT_VARIABLE, group or name or b"")


def _looked_up(scope: Scope, text: bytes) -> bytes:
    """What `name` or `name[n]` stands for; nothing where there is no such name or group."""
    found = _NAME.fullmatch(text)
    assert found is not None, "every text is a name"
    return _group(scope, found[1], found[2] or b"0")


def _group(scope: Scope, name: bytes, number: bytes) -> bytes:
    groups = scope.get(name, ())
    if len(number) > _GROUP_DIGITS_MAX or int(number) >= len(groups):
        return b""
    return groups[int(number)]
