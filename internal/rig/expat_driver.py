# Parses documents with expat, namespaces on. A request is four bytes of length and a document; the answer is a line of JSON:
# an error, or a tree and what was seen that is legal XML, but not on a stream.
import json
import struct
import sys
from xml.parsers import expat


class DocumentType(Exception):
    pass


def parse(doc):
    seen = set()
    out = []
    declared = []
    depth = 0
    p = expat.ParserCreate(encoding="utf-8", namespace_separator="\x01")
    p.ordered_attributes = True

    def declaration(version, encoding, standalone):
        if version != "1.0":
            seen.add("version")
        if encoding is not None and encoding.upper() != "UTF-8":
            seen.add("encoding")

    def document_type(*_):
        seen.add("document type")
        raise DocumentType

    def namespace(prefix, name):
        if prefix != "xml":
            declared.append((prefix or "", name or ""))

    def start(name, attributes):
        nonlocal depth
        depth += 1
        out.append("\x02" + name)
        for prefix, space in sorted(declared):
            out.append("\x07" + prefix + "\x04" + space)
        declared.clear()
        for attribute, value in sorted(zip(attributes[::2], attributes[1::2])):
            out.append("\x03" + attribute + "\x04" + value)
        out.append("\x05")

    def end(_):
        nonlocal depth
        depth -= 1
        out.append("\x06")
        if depth == 0 and doc[p.CurrentByteIndex :][:2] != b"</":
            seen.add("empty stream")

    def text(data):
        if depth > 1:
            out.append(data)
        elif data.strip(" \t\r\n") or doc[p.CurrentByteIndex] == ord("&"):
            seen.add("text")

    def section():
        if depth == 1:
            seen.add("text")

    p.XmlDeclHandler = declaration
    p.StartDoctypeDeclHandler = document_type
    p.CommentHandler = lambda _: seen.add("comment")
    p.ProcessingInstructionHandler = lambda *_: seen.add("instruction")
    p.StartNamespaceDeclHandler = namespace
    p.StartElementHandler = start
    p.EndElementHandler = end
    p.CharacterDataHandler = text
    p.StartCdataSectionHandler = section
    try:
        p.Parse(doc, True)
    except DocumentType:
        pass
    except expat.ExpatError as e:
        return {"error": str(e)}
    return {"seen": sorted(seen), "tree": "".join(out)}


print(expat.EXPAT_VERSION, flush=True)
while length := sys.stdin.buffer.read(4):
    doc = sys.stdin.buffer.read(struct.unpack(">I", length)[0])
    print(json.dumps(parse(doc)), flush=True)
