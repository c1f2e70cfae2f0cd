"""HS_NAMESPACE: what its XML says, as frozen values. Computes no handle: `protocol.computed.template` does.

Elements that the template language does not know are passed over. Source: spec, records: section 7.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, Self

from protocol.computed.xml_reader import Element, read_xml
from protocol.errors import Malformed
from protocol.limits import NAMESPACE_DEPTH_MAX, NAMESPACE_SIZE_MAX
from protocol.value import HandleValue, Reference

HS_NAMESPACE: Final = b"HS_NAMESPACE"
"""The type of values that hold a namespace."""

DEFAULT_VARIABLE: Final = b"extension"
"""What a condition looks at where it does not say."""

_INDEX_MAX: Final = 0x7FFFFFFF
_INDEX_DIGITS_MAX: Final = 10  # Of the greatest index; longer text is no number to spend time on.


@dataclass(frozen=True, slots=True)
class ForEach:
    """`foreach`: the content once for each value of the base record."""

    content: "Content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Value:
    """`value`: one value of the result. None stands for an attribute that is missing; text has variables in it."""

    index: int | None = None
    type: bytes | None = None
    data: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class If:
    """`if` and the `else` behind it. `variable` is looked at; its text and groups are called `parameter` inside."""

    variable: bytes
    parameter: bytes
    is_pattern: bool
    expression: bytes
    negate: bool
    content: "Content"
    otherwise: "Content"


@dataclass(frozen=True, slots=True, kw_only=True)
class Define:
    """`def`: the data of the first value of the content becomes a variable."""

    parameter: bytes
    content: "Content"


@dataclass(frozen=True, slots=True)
class NotFound:
    """`notfound`, and what cannot be obeyed as it stands: the whole handle is not found."""


Node = ForEach | Value | If | Define | NotFound
Content = tuple[Node, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Template:
    """`template`: how handles behind a delimiter are computed. Content of a `reference` stands in another value."""

    delimiter: bytes | None = None
    reference: Reference | None = None
    content: Content = ()

    @classmethod
    def read(cls, octets: bytes) -> Self | None:
        """The template of a value that a `ref` names: a `template`, or a `namespace` with one (else None).

        `Malformed` where the octets are neither.
        """
        root = _parsed(octets)
        element = root if root.name == "template" else _named(root, "namespace").child("template")
        return None if element is None else cls._of(element)

    @classmethod
    def _of(cls, element: Element) -> Self:
        delimiter = element.attribute("delimiter") or None
        text = element.attribute("ref")
        if text is None:
            return cls(delimiter=delimiter, content=tuple(_nodes(element.children)))
        reference = _reference(text)
        return cls(delimiter=delimiter, reference=reference, content=() if reference else (NotFound(),))


@dataclass(frozen=True, slots=True, kw_only=True)
class Namespace:
    """What a prefix says of its handles. None stands for a tag that is missing; its parent may have it.

    `status` is `active` or `inactive` as a rule; `locations` names a handle, without inheritance if `locations_end`.
    """

    contact: bytes | None = None
    status: bytes | None = None
    status_message: bytes | None = None
    locations: bytes | None = None
    locations_end: bool = False
    template: Template | None = None

    @property
    def delimiter(self) -> bytes | None:
        """What parts base and extension in the handles of this namespace, or None where none are computed."""
        return None if self.template is None else self.template.delimiter

    @classmethod
    def read(cls, octets: bytes) -> Self:
        """The namespace in a value's data; `Malformed` where it is no XML within the bounds, or another document."""
        root = _named(_parsed(octets), "namespace")
        template = root.child("template")
        locations = root.child("locs")
        return cls(
            contact=_text(root.child("contact")),
            status=_text(root.child("status")),
            status_message=_text(root.child("statusmsg")),
            locations=_text(locations),
            locations_end=locations is not None and locations.attribute("no_nslocs") == b"true",
            template=None if template is None else Template._of(template),
        )

    def inheriting(self, parent: Self | None) -> Self:
        """This namespace, with the tags that it lacks taken from its parent."""
        if parent is None:
            return self
        located = parent if self.locations is None else self
        return replace(
            self,
            contact=parent.contact if self.contact is None else self.contact,
            status=parent.status if self.status is None else self.status,
            status_message=parent.status_message if self.status_message is None else self.status_message,
            locations=located.locations,
            locations_end=located.locations_end,
            template=parent.template if self.template is None else self.template,
        )


def namespace_of(values: Sequence[HandleValue]) -> Namespace | None:
    """The namespace of a record: of the values that hold one, that with the lowest index that can be read."""
    candidates = [value for value in values if value.type.upper() == HS_NAMESPACE]
    for value in sorted(candidates, key=lambda value: value.index):
        try:
            return Namespace.read(value.data)
        except Malformed:
            continue
    return None


def _parsed(octets: bytes) -> Element:
    return read_xml(octets, size_max=NAMESPACE_SIZE_MAX, depth_max=NAMESPACE_DEPTH_MAX)


def _named(element: Element, name: str) -> Element:
    if element.name != name:
        raise Malformed(f"a {name} element wanted, {element.name[:40]!r} found")
    return element


def _text(element: Element | None) -> bytes | None:
    return None if element is None else element.text.strip().encode()


def _nodes(elements: Sequence[Element]) -> Iterator[Node]:
    for position, element in enumerate(elements):
        match element.name:
            case "foreach":
                yield ForEach(tuple(_nodes(element.children)))
            case "value":
                yield _value(element)
            case "if":
                following = elements[position + 1] if position + 1 < len(elements) else None
                yield _if(element, following)
            case "def":
                parameter = element.attribute("parameter")
                content = tuple(_nodes(element.children))
                yield NotFound() if parameter is None else Define(parameter=parameter, content=content)
            case "notfound":
                yield NotFound()


def _value(element: Element) -> Node:
    text = element.attribute("index")
    index = None if text is None else _index(text)
    if text is not None and index is None:
        return NotFound()
    data = element.attribute("data")
    if data is None and element.text.strip():  # White space alone is how the element is laid out.
        data = element.text.encode()
    return Value(index=index, type=element.attribute("type"), data=data)


def _if(element: Element, following: Element | None) -> Node:
    test = element.attributes.get("test", "equals")
    expression = element.attribute("expression")
    if test not in ("equals", "matches") or expression is None:
        return NotFound()
    variable = element.attribute("value") or DEFAULT_VARIABLE
    otherwise = following.children if following is not None and following.name == "else" else ()
    return If(
        variable=variable,
        parameter=element.attribute("parameter") or variable,
        is_pattern=test == "matches",
        expression=expression,
        negate=element.attributes.get("negate") == "true",
        content=tuple(_nodes(element.children)),
        otherwise=tuple(_nodes(otherwise)),
    )


def _index(text: bytes) -> int | None:
    """An index above 0, or None where the text is none."""
    text = text.strip()
    if not text.isdigit() or len(text) > _INDEX_DIGITS_MAX:
        return None
    index = int(text)
    return index if 0 < index <= _INDEX_MAX else None


def _reference(text: bytes) -> Reference | None:
    """`index:handle`, or None where the text is nothing of the kind."""
    number, colon, handle = text.strip().partition(b":")
    index = _index(number)
    return Reference(index, handle) if index is not None and colon and handle else None
