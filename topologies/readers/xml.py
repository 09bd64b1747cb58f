"""XML without what makes it dangerous: no entities, nothing fetched, lines remembered."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from simulator.errors import TopologyError, printable
from topologies.readers.source import Source

MAX_ELEMENTS, MAX_DEPTH = 3_000_000, 100


@dataclass(slots=True, eq=False)
class Element:
    """An element: its name without namespace, attributes, text, children and line."""

    tag: str
    attributes: dict[str, str]
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def get(self, name: str, default: str = "") -> str:
        """An attribute."""
        return self.attributes.get(name, default)


def parse_xml(source: Source) -> Element:
    """The root element of an XML file.

    A DOCTYPE may name an external DTD, which is not read, but declare nothing itself.

    Raises
    ------
    TopologyError
        If the file is no XML, declares entities, or is nested too deeply.
    """
    from xml.etree.ElementTree import ParseError

    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import DefusedXMLParser

    tree = _Tree(source)
    parser = DefusedXMLParser(
        target=tree, forbid_dtd=False, forbid_entities=True, forbid_external=True
    )
    tree.expat = parser.parser
    tree.expat.StartDoctypeDeclHandler = tree.doctype
    try:
        parser.feed(source.text)
        parser.close()
    except ParseError as error:
        line, column = error.position
        message = str(error).split(":")[0]
        raise TopologyError(f"{source.at(line)}:{column + 1}: is no XML: {message}") from None
    except DefusedXmlException:
        tree.refuse("entities and external references are not read")
    assert tree.root is not None
    return tree.root


class _Tree:
    """Target of the parser; builds elements and knows where it is."""

    expat: Any

    def __init__(self, source: Source):
        self.source = source
        self.root: Element | None = None
        self.open: list[Element] = []
        self.texts: list[list[str]] = []  # joined at the end: text comes in small pieces
        self.elements = 0

    def refuse(self, message: str) -> NoReturn:
        raise TopologyError(f"{self.source.at(self.expat.CurrentLineNumber)}: {message}")

    def doctype(self, name: str, system: str | None, public: str | None, inside: bool) -> None:
        del name, system, public
        if inside:
            self.refuse("a DOCTYPE with declarations of its own (such as <!ENTITY) is not read")

    def start(self, tag: str, attributes: dict[str, str]) -> None:
        name = tag.rpartition("}")[2]
        element = Element(name, attributes, self.expat.CurrentLineNumber)
        self.elements += 1
        if len(self.open) >= MAX_DEPTH or self.elements > MAX_ELEMENTS:
            self.refuse(
                f"<{printable(name)[1:-1]}> is nested too deeply, or there are more than "
                f"{MAX_ELEMENTS:,} elements"
            )
        if self.open:
            self.open[-1].children.append(element)
        else:
            self.root = element
        self.open.append(element)
        self.texts.append([])

    def end(self, tag: str) -> None:
        del tag
        self.open.pop().text = "".join(self.texts.pop())

    def data(self, text: str) -> None:
        self.texts[-1].append(text)

    def close(self) -> None:
        """Nothing is left to do at the end."""
