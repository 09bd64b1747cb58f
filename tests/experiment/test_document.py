"""Scenario files: hostile input is refused early, every value keeps its place (S01-S03)."""

import os
import time

import pytest

from simulator.errors import ScenarioError
from simulator.experiment.document import MAX_BYTES, parse, parse_value, read


def refused(text):
    with pytest.raises(ScenarioError) as caught:
        parse(text, "x.yaml", None)
    return str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "a: !!python/object/apply:os.system ['touch owned']",
        "a: !!python/name:os.system",
        "a: !mine 1",
        "!!map {a: 1}",
        "a: !!str 1",
        "a: !!binary aGk=",
    ],
)
def test_tags_are_refused_with_their_place(text, tmp_path, monkeypatch):
    """S01."""
    monkeypatch.chdir(tmp_path)
    message = refused(text)
    assert "is not allowed" in message
    assert message.startswith("x.yaml:1:")
    assert list(tmp_path.iterdir()) == []


def bomb():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 9)]
    return "\n".join(lines)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(), "aliases counted in full"),
        ("[" * 5000 + "]" * 5000, "nested deeper"),
        ("a: 1\na: 2", "duplicate key"),
        ("a: \x00", "not allowed|unacceptable"),
        ("- 1\n- 2", "no mapping"),
        ("a: [1, 2", "check indentation"),
        ("\ta: 1", "x.yaml:1:1"),
        ("a: *nobody", "undefined alias|values"),
        ("", "no mapping"),
        ("a: 'open", "check indentation"),
    ],
)
def test_hostile_or_broken_text_is_refused_quickly(text, message):
    """S02."""
    import re

    start = time.process_time()
    assert re.search(message, refused(text))
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfea\x00", "byte order mark"),
        (b"\xef\xbb\xbfa: 1", "byte order mark"),
        (b"a: \xff", "no UTF-8 text"),
        (b"#" * (MAX_BYTES + 1), "larger than 1 MiB"),
    ],
)
def test_files_that_are_no_scenario(tmp_path, content, message):
    path = tmp_path / "x.yaml"
    path.write_bytes(content)
    with pytest.raises(ScenarioError, match=message):
        read(path)


def test_only_regular_files_are_read(tmp_path):
    fifo = tmp_path / "fifo.yaml"
    os.mkfifo(fifo)
    for path in (fifo, tmp_path, tmp_path / "missing.yaml"):
        with pytest.raises(ScenarioError, match="no regular file|cannot be read"):
            read(path)


def test_every_value_keeps_its_place():
    text = "a:\n  b: 1\n  c:\n    - {d: 2}\n    - e\n"
    document = parse(text, "x.yaml", None)
    assert document.data == {"a": {"b": 1, "c": [{"d": 2}, "e"]}}
    assert document.place(["a", "b"]) == "x.yaml:2:3"
    assert document.place(["a", "c", 0, "d"]) == "x.yaml:4:8"
    assert document.place(["a", "c", 1]) == "x.yaml:5:7"
    assert document.place(["a", "missing"]) == "x.yaml:1:1"


def test_yaml_is_version_1_2():
    document = parse("a: 1e-3\nb: no\nc: 12:30:45\nd: 0o17\ne: .5", "x.yaml", None)
    assert document.data == {"a": 0.001, "b": "no", "c": "12:30:45", "d": 15, "e": 0.5}


def test_anchors_may_be_used_in_moderation():
    document = parse("a: &link {b: 1}\nc: *link", "x.yaml", None)
    assert document.data == {"a": {"b": 1}, "c": {"b": 1}}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("3", 3),
        ("25 Gbit/s", "25 Gbit/s"),
        ("[1, 2]", [1, 2]),
        ("{kind: x}", {"kind": "x"}),
        ("true", True),
        ("null", None),
    ],
)
def test_values_of_the_command_line_are_yaml(text, value):
    assert parse_value(text, "-S") == value


def test_setting_marks_the_origin():
    document = parse("algorithm: {kind: local-sgd, period: 4}\ndataset: digits", "x.yaml", None)
    assert document.set("algorithm.kind", "sync-sgd", "-S a") == ["period"]
    assert document.set("dataset.samples", 5, "-S b") == []
    document.set("new.deep.value", 1, "-S c")
    assert document.data == {
        "algorithm": {"kind": "sync-sgd"},
        "new": {"deep": {"value": 1}},
        "dataset": {"kind": "digits", "samples": 5},
    }
    assert document.place(["algorithm", "kind"]) == "-S a"
    assert document.place(["new", "deep", "value"]) == "-S c"
    with pytest.raises(ScenarioError, match="no such place"):
        parse("a: [1]", "x.yaml", None).set("a.5.b", 1, "-S d")
