"""JSONL files: which key is probed, what is no object, and that each comes back to the letter."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.formats import COLUMNS, MAX_ENTRY, MAX_RECORD, TOO_LONG, Format, Row
from twisted_probe.jobs.formats.output import record_of
from twisted_probe.jobs.options import DEFAULTS

from .reading import ACCEPTED, complaint, rows, written


def row(line: str) -> Row:
    """The one row of a file of one line."""
    (found,) = rows(line.encode(), Format.JSONL)
    assert found.line == 1
    return found


class TestKeys:
    @pytest.mark.parametrize(
        ("line", "text"),
        [
            ('{"email": "a@b.example"}', "a@b.example"),
            ('{"address": "a@b.example"}', "a@b.example"),
            ('{"E-Mail": "a@b.example"}', "a@b.example"),
            ('{"MAIL": " a@b.example "}', " a@b.example "),
            ('{"address": {"city": "Rome"}, "email": "a@b.example"}', "a@b.example"),
            ('{"address": "Main Street 1", "Email": "a@b.example"}', "a@b.example"),
            ('{"Email": "x", "EMAIL": "y", "email": "a@b.example", "eMail": 1}', "a@b.example"),
            ('{"mail": "x", "e-mail": "a@b.example"}', "a@b.example"),
            (r'{"\u0065mail": "\u0061@b.example"}', "a@b.example"),
            ('{"email": ""}', ""),
            (' \t{"email":"a@b.example"} \r', "a@b.example"),
            ('{"email": "a@b.example", "more": {"email": 1, "probe": 2}}', "a@b.example"),
        ],
    )
    def test_the_address(self, line: str, text: str) -> None:
        found = row(line)

        assert found.text == text
        assert found.problem is None
        assert found.object == line.strip()

    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("{}", 'the object has no key "address" or "email"'),
            ('{"e mail": "a@b.example"}', 'the object has no key "address" or "email"'),
            ('{"more": {"email": "a@b.example"}}', 'the object has no key "address" or "email"'),
            ('{"email": null}', 'the value of "email" is null, not a string'),
            ('{"Mail": 1.5e3}', 'the value of "Mail" is a number, not a string'),
            ('{"address": -7}', 'the value of "address" is a number, not a string'),
            ('{"email": false}', 'the value of "email" is false, not a string'),
            ('{"email": true}', 'the value of "email" is true, not a string'),
            ('{"email": ["a@b.example"]}', 'the value of "email" is an array, not a string'),
            ('{"email": {}}', 'the value of "email" is an object, not a string'),
            ('{"email": "a", "email": "a"}', 'the object has 2 keys "email"'),
            ('{"Email": "a", "EMAIL": "b", "eMail": 1}', 'the object has 3 keys "email"'),
        ],
    )
    def test_an_object_without_an_address(self, line: str, problem: str) -> None:
        assert row(line) == Row(1, "", None, f"line 1: {problem}", line)

    def test_an_address_beyond_the_cap(self) -> None:
        line = json.dumps({"email": "x" * 5000})

        assert row(line) == Row(1, "x" * MAX_ENTRY, None, TOO_LONG, line)

    def test_the_keys_are_the_columns(self) -> None:
        for name in COLUMNS:
            assert row(json.dumps({name: "a"})).text == "a"


class TestNoObjects:
    @pytest.mark.parametrize(
        ("line", "problem"),
        [
            ("a@b.example", "it is not JSON (Expecting value at character 1)"),
            ('{"email": "a@b.example"', "it is not JSON (Expecting ',' delimiter at character 24)"),
            ('{"email": "a"} {"email": "b"}', "it is not JSON (Extra data at character 16)"),
            ('{"email": "a\tb"}', "it is not JSON (Invalid control character at at character 13)"),
            ('{"email": "a", "n": NaN}', "it is not JSON (NaN)"),
            ('{"email": "a", "n": -Infinity}', "it is not JSON (-Infinity)"),
            ('["a@b.example"]', "it is an array, not an object"),
            ('"a@b.example"', "it is a string, not an object"),
            ("7", "it is a number, not an object"),
            ("null", "it is null, not an object"),
            ("true", "it is true, not an object"),
        ],
    )
    def test_is_a_row_with_a_problem(self, line: str, problem: str) -> None:
        assert row(line) == Row(1, line, None, f"line 1: {problem}")

    @pytest.mark.parametrize("bracket", ["[", '{"a":'])
    def test_nested_too_deeply(self, bracket: str) -> None:
        line = bracket * (MAX_RECORD // len(bracket) - 1)

        found = row(line)

        assert found.problem == "line 1: it is nested too deeply"
        assert found.text == line[:MAX_ENTRY]
        assert row('{"email": "a", "n": ' + "[" * 99 + "]" * 99 + "}").problem is None

    def test_longer_than_a_record_may_be(self) -> None:
        line = json.dumps({"email": "a@b.example", "note": "x" * MAX_RECORD})

        assert row(line) == Row(
            1, line[:MAX_ENTRY], None, f"line 1: it is longer than {MAX_RECORD} bytes"
        )

    def test_as_long_as_a_record_may_be(self) -> None:
        line = json.dumps({"email": "a@b.example", "note": ""})
        line = line.replace('""', '"' + "x" * (MAX_RECORD - len(line)) + '"')

        assert row(line).text == "a@b.example"
        assert len(line) == MAX_RECORD

    def test_numbers_of_any_length(self) -> None:
        digits = "9" * 100_000

        assert row(f'{{"email": "a", "n": {digits}, "m": {digits}.0e{digits}}}').text == "a"

    def test_lines_and_blanks(self) -> None:
        data = b'\n{"email": "a"}\r\n \t\r\n{}\n\xff\n'

        found = rows(data, Format.JSONL)

        assert [(row.line, row.problem is None) for row in found] == [
            (2, True),
            (4, False),
            (5, False),
        ]
        assert found[2].text == "ÿ"

    @given(st.binary(max_size=99))
    def test_any_bytes(self, data: bytes) -> None:
        data = data.replace(b"\0", b"").replace(b"\r", b"").replace(b"\n", b"")

        found = rows(b"[]\n" + data, Format.JSONL)

        assert [row.line for row in found] == ([1, 2] if data.strip(b" \t") else [1])


class TestProbeKey:
    """A key of the user's where the outcome would stand: nothing is probed, nothing is lost."""

    def test_the_whole_job_is_unreadable(self) -> None:
        data = b'{"email": "a"}\n{"email": "b", "probe": {"verdict": "risky"}}\n'

        assert complaint(data, Format.JSONL) == (
            'list, line 2: the object has a key "probe" of its own, where the outcome would stand; '
            "rename it"
        )

    def test_without_an_address_too(self) -> None:
        assert complaint(rb'{"\u0070robe": 1}', Format.JSONL).startswith("list, line 1: the object")

    def test_others_are_no_trouble(self) -> None:
        assert row('{"email": "a", "Probe": 1, "probe_verdict": 2}').problem is None


class TestResults:
    def test_the_object_and_the_outcome(self) -> None:
        line = '{"n": 1.0, "n": 1E400, "email": "a@b.example", "\\u00e9": "\\ud800 é" }'

        (result,) = written(line.encode(), Format.JSONL).splitlines()

        assert result.startswith(line.removesuffix(" }") + ',"probe":{"line":null,"address":')
        assert json.loads(result)["probe"] == record_of(ACCEPTED, DEFAULTS)

    @pytest.mark.parametrize("line", ["{}", "{ \t}"])
    def test_an_empty_object(self, line: str) -> None:
        (result,) = written(line.encode(), Format.JSONL).splitlines()

        assert result.startswith('{"probe":{')
        assert json.loads(result) == {"probe": record_of(ACCEPTED, DEFAULTS)}

    def test_a_line_that_holds_no_object(self) -> None:
        data = '\n"\x1b[31m\u2028é'.encode()

        (result,) = written(data, Format.JSONL).splitlines()

        assert result.startswith(r'{"line":2,"text":"\"\u001b[31m\u2028\u00e9","probe":{')
        assert json.loads(result) == {
            "line": 2,
            "text": '"\x1b[31m\u2028é',
            "probe": record_of(ACCEPTED, DEFAULTS),
        }

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    def test_always_utf8_with_lf(self, encoding: str, end: str) -> None:
        data = f'{{"email": "é@b.example"}}{end}{{"name": "é"}}{end}'.encode(encoding)

        results = written(data, Format.JSONL)

        first, second, last = results.split("\n")
        assert first.startswith('{"email": "é@b.example","probe":{')
        assert second.startswith('{"name": "é","probe":{')
        assert last == ""
        assert "\r" not in results

    def test_a_line_end_within_an_object(self) -> None:
        """It is a blank to JSON, and would be the end of a line of the results."""
        bare_cr = written(b'{"email":\r"a"}\n', Format.JSONL)
        bare_lf = written(b"\r" + b"\r" * 70_000 + b'{"email":\n"a"}\r', Format.JSONL)

        assert bare_cr == bare_lf
        assert bare_cr.startswith('{"email": "a","probe":')


numbers = st.one_of(
    st.integers().map(str),
    st.from_regex(r"-?(0|[1-9][0-9]{0,40})(\.[0-9]{1,9})?([eE][+-]?[0-9]{1,5})?", fullmatch=True),
)
blanks = st.sampled_from(["", " ", "  ", "\t"])


@st.composite
def json_texts(draw: st.DrawFn, depth: int = 3) -> str:
    """JSON as anybody may write it: any blanks, any escapes, any numbers."""
    kinds = ["string", "number", "word"] + ["array", "object"] * bool(depth)
    kind = draw(st.sampled_from(kinds))
    if kind == "string":
        text = draw(st.text(st.characters(exclude_characters="\0")))
        return json.dumps(text, ensure_ascii=draw(st.booleans()) or not _is_unicode(text))
    if kind == "number":
        return draw(numbers)
    if kind == "word":
        return draw(st.sampled_from(["true", "false", "null"]))
    values = [draw(json_texts(depth - 1)) for _ in range(draw(st.integers(0, 3)))]
    if kind == "object":
        values = [json.dumps(draw(st.text(max_size=5))) + ":" + value for value in values]
    brackets = "{}" if kind == "object" else "[]"
    return brackets[0] + draw(blanks) + ",".join(values) + draw(blanks) + brackets[1]


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def same(text: str) -> Any:
    """What JSON says, with the numbers as they are written and every key of an object."""
    return json.loads(text, parse_int=str, parse_float=str, object_pairs_hook=list)


@given(json_texts(), json_texts(), blanks)
def test_any_object_comes_back(first: str, second: str, blank: str) -> None:
    line = f'{{{blank}"a":{first}{blank},"email":"a@b.example","a":{second}{blank}}}'

    (result, last) = written(line.encode(), Format.JSONL).split("\n")

    assert last == ""
    assert result.startswith(line[:-1].rstrip())
    assert same(result)[:-1] == same(line)
    assert json.loads(result)["probe"] == record_of(ACCEPTED, DEFAULTS)
