"""Files that would hang, fill the memory or read others are refused at once (S06, S08)."""

import json
import os

import pytest

from simulator.errors import TopologyError
from topologies import LinkSpec
from topologies.readers import draft, read_topology, xml
from topologies.readers import source as source_module

LAUGHS = "".join(
    f'<!ENTITY l{i} "{"".join(f"&l{i - 1};" for _ in range(10)) if i else "lol"}">'
    for i in range(10)
)
BODY = {
    "graphml": '<graphml><graph edgedefault="undirected"><node id="{}"/></graph></graphml>',
    "platform": '<platform version="4.1"><host id="{}" speed="1Gf"/></platform>',
}


def refused(path):
    with pytest.raises(TopologyError) as caught:
        read_topology(path, LinkSpec(1e9, 0.0))
    return str(caught.value)


@pytest.mark.parametrize("root", BODY)
@pytest.mark.parametrize(
    ("doctype", "inside"),
    [
        (f"<!DOCTYPE x [{LAUGHS}]>", "&l9;"),
        ('<!DOCTYPE x [<!ENTITY e SYSTEM "file:///etc/hostname">]>', "&e;"),
        ('<!DOCTYPE x [<!ENTITY % p SYSTEM "http://localhost:9/x.dtd"> %p;]>', "a"),
        ("<!DOCTYPE x [<!ENTITY e 'a'>]>", "&e;"),
        ('<!DOCTYPE x [<!ATTLIST node id CDATA "a">]>', "a"),
        ('<!DOCTYPE x SYSTEM "http://localhost:9/x.dtd" [<!ENTITY e "a">]>', "a"),
    ],
)
def test_entities_are_refused_where_they_are_declared(tmp_path, root, doctype, inside):
    path = tmp_path / "x.xml"
    path.write_text(f'<?xml version="1.0"?>\n{doctype}\n{BODY[root].format(inside)}')
    message = refused(path)
    assert message.startswith(f"{path}:2: a DOCTYPE with declarations of its own")


@pytest.mark.parametrize("root", BODY)
def test_an_external_dtd_is_named_but_not_read(tmp_path, root, monkeypatch):
    dtd = tmp_path / "x.dtd"
    os.mkfifo(dtd)  # reading it would wait for ever
    path = tmp_path / "x.xml"
    path.write_text(f'<!DOCTYPE {root} SYSTEM "file://{dtd}">\n{BODY[root].format("a")}')
    assert list(read_topology(path)) == ["a"]
    path.write_text(f'<!DOCTYPE {root} SYSTEM "file://{dtd}">\n{BODY[root].format("&e;")}')
    assert ":2" in refused(path)


def test_only_regular_files_are_read(tmp_path):
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    for path in ("/dev/zero", "/dev/null", fifo, tmp_path):
        assert refused(path) == f"{path}: is no regular file"
    assert (
        refused(tmp_path / "none") == f"{tmp_path}/none: cannot be read: No such file or directory"
    )
    assert "is no name of a file" in refused("a\0b")
    assert "cannot be read: File name too long" in refused("x" * 5000)


def test_a_large_file_is_refused_unread(tmp_path):
    path = tmp_path / "large.csv"
    with path.open("wb") as file:
        file.truncate(10 * 2**30)
    assert refused(path) == f"{path}: is larger than 64 MiB"


def test_the_limit_is_the_last_size_that_is_read(tmp_path, monkeypatch):
    path = tmp_path / "x.csv"
    path.write_text("a,b,1e9,0")
    monkeypatch.setattr(source_module, "MAX_BYTES", 9)
    assert source_module.open_source(path, 9).text == "a,b,1e9,0"
    with pytest.raises(TopologyError, match="is larger than"):
        source_module.open_source(path, 8)


def test_there_are_limits_to_what_fits_into_memory(tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_text(BODY["graphml"].format("a"))
    monkeypatch.setattr(xml, "MAX_ELEMENTS", 3)
    assert list(read_topology(path)) == ["a"]
    monkeypatch.setattr(xml, "MAX_ELEMENTS", 2)
    assert "there are more than 2 elements" in refused(path)
    path.write_text("a,b,1,1\nb,c,1,1")
    monkeypatch.setattr(draft, "MAX_PARTS", 3)
    assert list(read_topology(path)) == ["a", "b", "c"]
    monkeypatch.setattr(draft, "MAX_PARTS", 2)
    assert refused(path) == f"{path}: has more than 2 nodes or links, too many to read"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"a,b\n\xff,c", ":2: byte 4 is not UTF-8 text; save the file as UTF-8"),
        ("{}".encode("utf-16"), ":1: byte 0 is not UTF-8 text"),
        (b"a,b\0,1", ": holds zero bytes, so it is no text"),
        (b"\x1f\x8b\x08", ":1: byte 1 is not UTF-8 text"),
    ],
)
def test_what_is_no_text_is_refused(tmp_path, content, message):
    path = tmp_path / "x"
    path.write_bytes(content)
    assert refused(path).startswith(f"{path}{message}")


@pytest.mark.parametrize(
    "text",
    [
        "#" + "\n" * 2_000_000,
        " " * 2_000_000,
        "<" + "!--" * 500_000,
        "<" * 2_000_000,
        "a" * 2_000_000 + ",b",
        "a,b,1,1" + '"' * 1_000_001,
        "SwitchName=s Nodes=" + "[" * 100_000,
        "SwitchName=s Nodes=" + "a[1-2]" * 1000,
        "SwitchName=s Nodes=" + ",[" * 20_000,
        "SwitchName=s Nodes=" + ",".join(f"a{i}[1-90000]" for i in range(100)),
        "\n".join(f"SwitchName=s{i} Switches=s{i + 1}" for i in range(30_000)),
        "{" + '"a": [' * 100_000,
        '{"nodes": [' + "[" * 500 + "]" * 500 + '], "edges": []}',
        "<graphml>" + "<a>" * 1_000_000,
        "topology: [" + "{" * 20_000,
        "topology: " + "? " * 20_000,
        "GPU0 " * 200_000,
        json.dumps(
            {
                "nodes": ["a", "b"],
                "edges": [{"source": "a", "target": "b", "bandwidth": "1" * 200_000 + "a\nb"}] * 2,
            }
        ),
        f"a,b,{'1' * 100_000}a\x0bb,0",
        '{"nodes": [' + "[" * 900 + "]" * 900 + '], "edges": []}',
        "<graphml><graph>" + "a<!---->" * 200_000 + "</graph></graphml>",
    ],
    ids=range(21),
)
def test_odd_text_is_refused_soon(tmp_path, text):
    path = tmp_path / "x"
    path.write_text(text)
    assert len(refused(path)) < 5000
