"""XML from anybody's tools, parsed without what can blow up or read other files."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET


class RefusedXML(Exception):
    """XML with a DOCTYPE or an ENTITY: they can blow up, or read other files."""


def parsed(content: bytes) -> ET.Element:
    """Parse XML of any encoding.

    Raises:
        RefusedXML: if it declares a document type or entities.
        ET.ParseError, ValueError, LookupError: if it does not parse, or not in its encoding.
    """
    # UTF-16; others write ASCII as ASCII
    _refuse_entities(content.replace(b"\0", b"").decode("latin-1"))
    try:
        return ET.fromstring(content)
    # of an encoding with several bytes a character, such as GBK, which the parser does not know
    except ValueError:
        declared = re.match(rb"""<\?xml[^>]*encoding=["']([\w.-]+)["']""", content)
        if declared is None:
            raise
        text = content.decode(declared[1].decode("ascii"))
        _refuse_entities(text)
        return ET.fromstring(text)


def _refuse_entities(text: str) -> None:
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise RefusedXML
