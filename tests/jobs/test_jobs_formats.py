"""What is a row of a job file, and what makes the whole file unreadable."""

from __future__ import annotations

import pytest

from twisted_probe.jobs.formats import (
    MAX_ENTRY,
    MAX_RECORD,
    TOO_LONG,
    Format,
    Row,
    UnreadableJob,
    format_of,
)
from twisted_probe.jobs.names import is_packed

from .reading import complaint, reader, rows, texts


def records(data: bytes) -> list[Row]:
    return rows(data, Format.CSV)


class TestNames:
    @pytest.mark.parametrize(
        ("name", "kind"),
        [
            (b"list", Format.TXT),
            (b"list.txt", Format.TXT),
            (b"LIST.TXT", Format.TXT),
            (b"list.csv", Format.CSV),
            (b"list.csv~2", Format.CSV),
            (b"list~17", Format.TXT),
            (b"\xff\n.csv", Format.CSV),
            (b"list.jsonl", Format.JSONL),
            (b"List.JsonL", Format.JSONL),
        ],
    )
    def test_suffix_says_format(self, name: bytes, kind: Format) -> None:
        assert format_of(name) is kind

    @pytest.mark.parametrize(
        ("name", "suffix"),
        [
            (b"list.xlsx", "xlsx"),
            (b"list.job.toml", "toml"),
            (b"list.pdf.gz", "pdf"),
            (b"list.gz.gz", "gz"),
            (b"a.zip~2", "zip"),
        ],
    )
    def test_other_suffixes(self, name: bytes, suffix: str) -> None:
        with pytest.raises(UnreadableJob, match=rf"^\S+: the suffix \.{suffix} is not understood"):
            format_of(name)

    @pytest.mark.parametrize("number", [b"", b"~2"])
    @pytest.mark.parametrize("packed", [b"", b".gz", b".GZ"])
    def test_packed(self, packed: bytes, number: bytes) -> None:
        for suffix, kind in ((b"", Format.TXT), (b".CSV", Format.CSV), (b".jsonl", Format.JSONL)):
            name = b"list" + suffix + packed + number

            assert format_of(name) is kind
            assert is_packed(name) == bool(packed)

    def test_the_name_is_printed_escaped(self) -> None:
        with pytest.raises(UnreadableJob) as caught:
            format_of(b"a\n\xff\x1b[31m.pdf")

        assert str(caught.value).startswith(r"a\x0a\xff\x1b[31m.pdf: ")


class TestText:
    def test_blank_lines_and_comments_are_skipped(self) -> None:
        data = b"# who\n\nann@example.org\n  \t\n  # no\n bob@example.org \n"

        assert texts(data) == [(3, "ann@example.org"), (6, " bob@example.org ")]

    def test_crlf_and_no_line_end_at_the_end(self) -> None:
        assert texts(b"a@b.example\r\n\r\nc@d.example") == [(1, "a@b.example"), (3, "c@d.example")]

    def test_byte_order_mark(self) -> None:
        assert texts(b"\xef\xbb\xbfa@b.example\n") == [(1, "a@b.example")]
        assert texts(b"\xef\xbb\xbf# who\n") == []

    def test_utf8_and_latin1_line_by_line(self) -> None:
        data = "jürgen@example.org\n".encode() + "jürgen@example.org\n".encode("latin-1")

        assert texts(data) == [(1, "jürgen@example.org"), (2, "jürgen@example.org")]

    def test_a_last_line_that_ends_inside_a_character(self) -> None:
        assert texts("caf\u00e9".encode()[:-1]) == [(1, "caf\u00c3")]

    def test_nothing(self) -> None:
        assert texts(b"") == []
        assert reader(b"", Format.TXT).header == ("address",)

    def test_long_line(self) -> None:
        data = b"x" * 100_000 + b"@example.org\nann@example.org\n"

        first, second = reader(data, Format.TXT)

        assert first == Row(1, "x" * MAX_ENTRY, None, TOO_LONG)
        assert second == Row(2, "ann@example.org")

    @pytest.mark.parametrize("character", ["x", "ü", "€", "\U0001f600"])
    @pytest.mark.parametrize("end", ["", "\n", "\r\n"])
    def test_the_cap_counts_characters(self, character: str, end: str) -> None:
        for length in (MAX_ENTRY, MAX_ENTRY + 1, 4 * MAX_ENTRY, 9 * MAX_ENTRY):
            (row,) = reader((character * length + end).encode(), Format.TXT)

            assert row.text == character * MAX_ENTRY
            assert (row.problem is None) == (length == MAX_ENTRY)

    @pytest.mark.parametrize(
        ("data", "line"),
        [(b"a@b.example\n\x00\n", 2), (b"a\n" + b"x" * 200_000 + b"\0", 2), (b"\0", 1)],
    )
    def test_binary(self, data: bytes, line: int) -> None:
        assert complaint(data, Format.TXT).startswith(f"list, line {line}: it holds a NUL byte")


class TestCsv:
    @pytest.mark.parametrize(
        "header",
        ["name,email,city", "name,E-Mail,address", "Mail , address,name", "ADDRESS,id,name"],
    )
    def test_column_by_name(self, header: str) -> None:
        names = [name.strip().lower() for name in header.split(",")]
        wanted = next(name for name in ("email", "e-mail", "mail", "address") if name in names)

        (row,) = records(f"{header}\nc0,c1,c2\n".encode())

        assert row.text == f"c{names.index(wanted)}"
        assert row.fields == ("c0", "c1", "c2")

    def test_the_only_column(self) -> None:
        rows = records(b"recipients\na@b.example\n\n  \nc@d.example\n")

        assert rows == [
            Row(2, "a@b.example", ("a@b.example",)),
            Row(5, "c@d.example", ("c@d.example",)),
        ]

    def test_quoted_commas_quotes_and_line_ends(self) -> None:
        data = b'id,note,email\r\n1,"a, ""b""\r\nc\n\nd",x@a.example\r\n2,,y@a.example\r\n'

        assert records(data) == [
            Row(2, "x@a.example", ("1", 'a, "b"\r\nc\n\nd', "x@a.example")),
            Row(6, "y@a.example", ("2", "", "y@a.example")),
        ]

    @pytest.mark.parametrize("delimiter", [",", ";", "\t"])
    def test_delimiters(self, delimiter: str) -> None:
        data = f"name{delimiter}email\nAnn{delimiter}a@b.example\n".encode()

        csv_reader = reader(data, Format.CSV)

        assert csv_reader.header == ("name", "email")
        assert csv_reader.dialect.delimiter == delimiter
        assert [row.text for row in csv_reader] == ["a@b.example"]

    def test_short_and_long_records_are_rows(self) -> None:
        rows = records(b"name,email\nAnn\nAnn,a@b.example,more,\n,\n")

        assert [row.text for row in rows] == ["", "a@b.example", ""]
        assert rows[1].fields == ("Ann", "a@b.example", "more", "")

    def test_byte_order_mark_and_blank_lines_before_the_header(self) -> None:
        data = b"\xef\xbb\xbf\r\n\r\nemail\r\na@b.example\r\n"

        assert records(data) == [Row(4, "a@b.example", ("a@b.example",))]

    def test_latin1(self) -> None:
        (row,) = records("name,email\nJürgen,j@b.example\n".encode("latin-1"))

        assert row.fields == ("Jürgen", "j@b.example")

    @pytest.mark.parametrize("data", [b"", b"\n\n", b"\xef\xbb\xbf"])
    def test_nothing(self, data: bytes) -> None:
        assert records(data) == []
        assert reader(data, Format.CSV).header == ()

    def test_long_address(self) -> None:
        (row,) = records(b"id,email\n1," + b"x" * 5000 + b"\n")

        assert row.problem == TOO_LONG
        assert row.fields == ("1", "x" * 5000)

    @pytest.mark.parametrize(
        ("data", "words"),
        [
            (b"name,city\n", "line 1: no column is called email, address, e-mail or mail"),
            (b"email,EMAIL\n", "line 1: 2 columns are called email"),
            (b"a@b.example\nc@d.example\n", "line 1: an address stands where the header"),
            (b'email\na@b.example\n"c@d.example\n', "line 3: the record that begins here is not"),
            (b'id,email\n1,"a"x,b\n', "line 2: the record that begins here is not well-formed"),
            (b"email\na@b.example\rc@d.example\r", "line 2: the record that begins here is not"),
            (
                b"name;city\nAnn;Rome\n",
                "line 1: no column is called email, address, e-mail or mail; "
                "there are 'name', 'city'",
            ),
            (b"email\n\n\na\0b\n", "line 4: it holds a NUL byte"),
            (b'"email\n', "line 1: the record that begins here is not well-formed"),
            (b"x" * (MAX_RECORD + 1), "line 1: the record that begins here is longer"),
            (b'email\n"' + b"a\n" * MAX_RECORD, "line 2: the record that begins here"),
        ],
    )
    def test_unreadable(self, data: bytes, words: str) -> None:
        assert complaint(data, Format.CSV).startswith(f"list, {words}")
