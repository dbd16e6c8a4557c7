"""CSV files in all dialects: each is told from its beginning, and the results are written in it."""

from __future__ import annotations

import csv
import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.formats import Format
from twisted_probe.jobs.formats.dialect import DELIMITERS, EXCEL, Dialect, dialect_of

from .reading import complaint, reader, rows, written

DIALECTS = [
    Dialect(delimiter, quotechar, escapechar, skipinitialspace)
    for delimiter in DELIMITERS
    for quotechar in "\"'"
    for escapechar in (None, "\\")
    for skipinitialspace in (False, True)
]


def dialect(text: str) -> Dialect:
    return dialect_of(list(io.StringIO(text, newline="")))


class TestTelling:
    @pytest.mark.parametrize(
        ("text", "found"),
        [
            ("email,name\na@b.example,Ann\n", EXCEL),
            ("name;email\nDoe, Ann;a@b.example\n", Dialect(";")),
            ("name\temail\nAnn\ta@b.example\n", Dialect("\t")),
            ("\temail\nAnn\ta@b.example\n", Dialect("\t")),
            ("name|E-Mail\nAnn|a@b.example\n", Dialect("|")),
            ('name,email\n"Doe, ""Ann""",a@b.example\n', EXCEL),
            ('name,email\n"Doe, \\"Ann\\"",a@b.example\n', Dialect(escapechar="\\")),
            ('dir,email\n"C:\\x\\",a@b.example\n"D:\\y\\",c@d.example\n', EXCEL),
            ("name,email\n'Doe, Ann',a@b.example\n", Dialect(quotechar="'")),
            ("'name';'email'\n'Ann';'a@b.example'\n", Dialect(";", "'")),
            ("'n';'email'\n'it\\'s';'a@b.example'\n", Dialect(";", "'", "\\")),
            ("'n';'email'\n'it''s';'a@b.example'\n", Dialect(";", "'")),
            ('name, email\n"Doe, Ann", a@b.example\n', EXCEL),
            ('name, email\nAnn, "a@b.example"\n', Dialect(skipinitialspace=True)),
            ("id; email\n1; 'a@b.example'\n", Dialect(";", "'", None, True)),
            ('name,email\n\'"Ann","" Doe\',a@b.example\n', Dialect(quotechar="'")),
            ("'n';'email'\n'\\';\"';'a@b.example'\n", Dialect(";", "'", "\\")),
        ],
    )
    def test_by_what_it_makes_of_the_file(self, text: str, found: Dialect) -> None:
        assert dialect(text) == found

    @pytest.mark.parametrize(
        "text",
        [
            "name,email\nO'Brien,a@b.example\n'Bob',c@d.example\n",
            "name,email\n't Hooft,a@b.example\n's Gravesande,c@d.example\n",
            "name,email\n'\"Ann' Doe,a@b.example\n",
            "email\na'b@b.example\nc'd@d.example\n",
            "email\n",
            "name,email\nAnn;Bob|Eve,a@b.example\nx,c@d.example,\n",
            "email,notes; address\na@b.example,hello\n",
        ],
    )
    def test_what_looks_like_another(self, text: str) -> None:
        assert dialect(text) == EXCEL

    def test_two_that_find_a_column(self) -> None:
        """The one that makes the fewest records of another width."""
        assert dialect("email;notes, address\na@b.example;hello\n") == Dialect(";")
        assert dialect("email,x;address\na@b.example,hello\n") == EXCEL

    def test_one_column_in_quotes(self) -> None:
        assert dialect("'who'\n'a@b.example'\n'c@d.example'\n") == Dialect(quotechar="'")
        assert rows(b"'who'\n'a@b.example'\n", Format.CSV)[0].text == "a@b.example"

    def test_no_column_of_addresses(self) -> None:
        assert dialect("name;city\nAnn;Rome\n") == Dialect(";")
        assert dialect("name;city\n") == EXCEL
        assert dialect("name;city\nAnn\n") == EXCEL

    @pytest.mark.parametrize("text", ["", "\n", '"', '"a"b,email\n1,x\n', '"email\nx\n'])
    def test_nothing_to_tell_from(self, text: str) -> None:
        assert dialect(text) == EXCEL

    def test_a_record_over_the_end_of_what_is_looked_at(self) -> None:
        record = "'Doe, Ann','{}',a@b.example\n"
        text = "name,note,email\n" + record.format("x") * 2000 + record.format("y\n" * 20000)

        job = reader(text.encode(), Format.CSV)

        assert job.dialect == Dialect(quotechar="'")
        assert len(list(job)) == 2001

    def test_quotes_behind_what_is_looked_at(self) -> None:
        """What the beginning does not show is held against the dialect that it shows."""
        text = "name,email\n" + "Ann,a@b.example\n" * 9999 + "'Doe, Ann',a@b.example\n"

        *_, last = reader(text.encode(), Format.CSV)

        assert last.fields == ("'Doe", " Ann'", "a@b.example")

    @pytest.mark.parametrize(
        ("data", "line", "why"),
        [
            (b'id;n;email\n1;"a"x;b\n2;y;c\n3;y;c\n', 2, "';' expected after '\"'"),
            (b"id\tn\temail\n1\t'a, b'\tc\n1\t\"a\"x\tb\n", 3, "'\\x09' expected after '\"'"),
            (b"'id';'email'\n'1'x;'a'\n", 2, "';' expected after '''"),
            (b'id|email\n1|"a\n2|b\n', 2, "unexpected end of data"),
        ],
    )
    def test_stray_quotes_are_told_in_every_dialect(self, data: bytes, line: int, why: str) -> None:
        assert complaint(data, Format.CSV) == (
            f"list, line {line}: the record that begins here is not well-formed CSV ({why})"
        )


class TestResults:
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_line_ends_and_mark_come_back(self, end: str, mark: str) -> None:
        text = mark + end.join(["name,email", '"Doe, Ann",a@b.example', '"a\nb\rc",x', ""])

        results = written(text.encode(), Format.CSV)

        assert results.startswith(mark + "name,email,probe_line,")
        assert results.endswith(end)
        assert results.removesuffix(end).endswith(',"false",""')
        lines = results.split(end)
        assert lines[1].startswith('"Doe, Ann",a@b.example,')
        assert results[results.index('"a') :].startswith('"a\nb\rc","x",')

    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_the_mark_of_a_text_file(self, encoding: str) -> None:
        results = written("a@b.example\r\n".encode(encoding), Format.TXT)

        assert results.startswith("\ufeff") == (encoding != "utf-8")
        assert results.removeprefix("\ufeff").startswith("address,probe_line,probe_address,")
        assert "\r\na@b.example,,a@b.example,deliverable," in results

    def test_in_the_same_dialect(self) -> None:
        data = b"'id';'note';'email'\n'1';'it\\'s; me';'a@b.example'\n2;'C:\\\\x';c\n"

        _, first, second, _ = written(data, Format.CSV).split("\n")

        assert first.startswith("1;'it\\'s; me';a@b.example;;")
        assert second.startswith("2;C:\\\\x;c;;")

    def test_a_line_end_in_quotes_behind_another_one(self) -> None:
        """With the quotes out of the way they would look like one CRLF."""
        job = reader(b'"id","mail"\r"\\"\n","a@b.example"\r', Format.CSV)
        assert [row.fields for row in job] == [('"\n', "a@b.example")]
        assert job.line_end == "\r"

    def test_surplus_fields_stay_in_the_last_column(self) -> None:
        results = written(b"name|email\nAnn|a@b.example|x|\n", Format.CSV)

        _, first = csv.reader(io.StringIO(results, newline=""), delimiter="|")
        assert first[:2] == ["Ann", "a@b.example|x|"]

    @given(
        st.lists(
            st.tuples(*[st.text(st.characters(codec="utf-8", exclude_characters="\0"))] * 3),
            max_size=5,
        ),
        st.sampled_from(DIALECTS),
        st.sampled_from(["\n", "\r\n", "\r"]),
        st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    )
    def test_all_comes_back(
        self,
        table: list[tuple[str, ...]],
        dialect: Dialect,
        end: str,
        encoding: str,
    ) -> None:
        """Whatever dialect is told from the file: what the fields are, they stay."""
        text = io.StringIO(newline="")
        quoting = dialect.writer(text, end, quoted=True)
        quoting.writerow(("id", "mail", "note"))
        quoting.writerows(table)
        data = text.getvalue().encode(encoding)

        job = reader(data, Format.CSV)
        found = [row.fields for row in job]

        assert job.line_end == end
        assert job.dialect == Dialect(
            dialect.delimiter,
            dialect.quotechar,
            job.dialect.escapechar,
            job.dialect.skipinitialspace,
        )
        if job.dialect.escapechar == dialect.escapechar:
            assert found == table
        results = written(data, Format.CSV)
        assert results.startswith("\ufeff") == (encoding != "utf-8")
        lines = io.StringIO(results.removeprefix("\ufeff"), newline="")
        again = [tuple(fields[:3]) for fields in job.dialect.reader(lines)]
        assert again == [("id", "mail", "note"), *found]
