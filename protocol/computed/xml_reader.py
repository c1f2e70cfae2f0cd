"""Octets of a stranger → a small tree of XML elements, within bounds. Knows no meaning of any name.

No DOCTYPE, so no entities but the five that XML has; what passes a bound is refused before anything is built of it.
Qualified names, comments and processing instructions are of no use to us: the first stay as written, the others go.
"""

from dataclasses import dataclass, field
from xml.parsers import expat

from protocol.errors import Malformed


@dataclass(slots=True)
class Element:
    """A name, attributes, the elements inside, and the pieces of text between them."""

    name: str
    attributes: dict[str, str]
    children: list["Element"] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text directly inside, all pieces joined."""
        return "".join(self.texts)

    def attribute(self, name: str) -> bytes | None:
        """An attribute in UTF-8, or None where there is none of that name."""
        found = self.attributes.get(name)
        return None if found is None else found.encode()

    def child(self, name: str) -> "Element | None":
        """The first element of that name directly inside."""
        return next((child for child in self.children if child.name == name), None)


class _Tree:
    """What expat tells, put together."""

    def __init__(self, depth_max: int) -> None:
        self.root: Element | None = None
        self._depth_max = depth_max
        self._open: list[Element] = []

    def start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) >= self._depth_max:
            raise Malformed(f"elements nested deeper than {self._depth_max}")
        element = Element(name, attributes)
        if self._open:
            self._open[-1].children.append(element)
        else:
            self.root = element
        self._open.append(element)

    def end(self, *_: object) -> None:
        self._open.pop()

    def text(self, text: str) -> None:
        self._open[-1].texts.append(text)

    def doctype(self, *_: object) -> None:
        raise Malformed("XML with a DOCTYPE")


def read_xml(octets: bytes, *, size_max: int, depth_max: int) -> Element:
    """The root element of a UTF-8 document; `Malformed` where it is no well-formed XML or beyond the bounds."""
    if len(octets) > size_max:
        raise Malformed(f"XML of {len(octets)} octets, at most {size_max} allowed")
    try:
        text = octets.decode()
    except UnicodeDecodeError:
        raise Malformed("XML that is not UTF-8") from None
    tree = _Tree(depth_max)
    parser = expat.ParserCreate("UTF-8")  # Whatever the XML declaration says.
    parser.buffer_text = True
    parser.StartElementHandler = tree.start
    parser.EndElementHandler = tree.end
    parser.CharacterDataHandler = tree.text
    parser.StartDoctypeDeclHandler = tree.doctype
    try:
        parser.Parse(text, True)
    except expat.ExpatError as error:
        raise Malformed(f"no XML: {error}") from None
    if tree.root is None:
        raise Malformed("no XML: no element")
    return tree.root
