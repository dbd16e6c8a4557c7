"""The bytes of a job file become lines: packed or not, in any encoding, with any line end."""

from __future__ import annotations

import codecs
import gzip
import hashlib
import io
import re
import zlib
from collections.abc import Iterator
from typing import BinaryIO, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.formats import (
    MAX_ENTRY,
    MAX_RECORD,
    TOO_LONG,
    Format,
    JobReader,
    Row,
    UnreadableJob,
)
from twisted_probe.jobs.formats import lines as lines_module
from twisted_probe.jobs.formats import stream as stream_module
from twisted_probe.jobs.formats.lines import HEAD, Lines
from twisted_probe.jobs.formats.stream import Broken, as_utf8, unpacked

from .reading import Endless, complaint, peak, pieces, reader, rows, texts

FORMATS = tuple(Format)
#: The same two addresses in every format, but for the line end.
PLAIN = {
    Format.TXT: "jürgen@b.example\n😀@b.example\n",
    Format.CSV: "email,name\njürgen@b.example,Zoë\n😀@b.example,漢字\n",
    Format.JSONL: '{"email": "jürgen@b.example"}\n{"email": "😀@b.example"}\n',
}
BOTH = ["jürgen@b.example", "😀@b.example"]


class TestEncodings:
    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16-le", "utf-16-be"])
    @pytest.mark.parametrize("size", [1, 2, 3, 5, 1000])
    def test_all_are_read_alike(
        self, kind: Format, encoding: str, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream_module, "PIECE", size)
        mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}
        data = mark.get(encoding, b"") + PLAIN[kind].encode(encoding)

        job = reader(data, kind)

        assert [row.text for row in job] == BOTH
        assert job.marked == (encoding != "utf-8")
        assert job.latin1_lines == 0

    @pytest.mark.parametrize("mark", [b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff"])
    @pytest.mark.parametrize("kind", FORMATS)
    def test_a_mark_and_nothing_else(self, kind: Format, mark: bytes) -> None:
        job = reader(mark, kind)

        assert list(job) == []
        assert job.marked

    @pytest.mark.parametrize("mark", [codecs.BOM_UTF32_LE, codecs.BOM_UTF32_BE])
    def test_utf32(self, mark: bytes) -> None:
        words = complaint(mark + b"a\0\0\0", Format.TXT)

        assert words == "list, line 1: it is UTF-32; save it as UTF-8"

    @pytest.mark.parametrize("encoding", ["utf-16-le", "utf-16-be"])
    def test_utf16_without_its_mark(self, encoding: str) -> None:
        words = complaint("a@b.example\n".encode(encoding), Format.TXT)

        assert words == (
            "list, line 1: it holds a NUL byte; this is no text in UTF-8, nor in UTF-16 behind a "
            "byte order mark"
        )

    def test_a_nul_character_in_utf16(self) -> None:
        words = complaint("a@b.example\n\0\n".encode("utf-16"), Format.TXT)

        assert words.startswith("list, line 2: it holds a NUL byte")

    @pytest.mark.parametrize(
        ("data", "line", "why"),
        [
            (b"a\0\n\0b\0\n\0c", 3, "truncated data"),
            (b"a\0\n\0b\0\x00\xd8\n\0", 2, "illegal UTF-16 surrogate"),
            (b"a\0\n\0\x00\xdc\n\0", 2, "illegal encoding"),
            (b"a\0\n\0b\0\n\0\x00\xd8", 3, "unexpected end of data"),
            (b"a", 1, "truncated data"),
        ],
    )
    @pytest.mark.parametrize("size", [1, 4, 1000])
    def test_broken_utf16(
        self, data: bytes, line: int, why: str, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream_module, "PIECE", size)

        words = complaint(b"\xff\xfe" + data, Format.TXT)

        assert words == f"list, line {line}: this is not well-formed UTF-16 ({why})"

    def test_latin1_lines_are_read_and_counted(self) -> None:
        good, bad = "jürgen@b.example\n".encode(), "jürgen@b.example\n".encode("latin-1")

        job = reader(good + bad + b"\n" + bad + good + bad * 12, Format.TXT)

        assert {row.text for row in job} == {"jürgen@b.example"}
        assert job.latin1_lines == 14
        assert job.first_latin1_lines == [2, 4, *range(6, 14)]

    @pytest.mark.parametrize("kind", FORMATS)
    def test_latin1_in_every_format(self, kind: Format) -> None:
        data = PLAIN[kind].partition("😀")[0].partition(",Zoë")[0].encode("latin-1")
        if kind is Format.JSONL:
            data = data.splitlines()[0]

        job = reader(data, kind)

        assert next(iter(job)).text == BOTH[0]
        assert job.latin1_lines == 1

    def test_a_line_that_is_cut_inside_of_a_character_is_utf8(self) -> None:
        job = reader("€".encode() * 9999 + b"\n", Format.TXT)

        (row,) = job
        assert row.problem == TOO_LONG
        assert job.latin1_lines == 0

    @given(st.lists(st.text(st.characters(codec="utf-8", exclude_characters="\0\r\n"))))
    def test_any_text_in_any_encoding(self, wanted: list[str]) -> None:
        text = "".join(f"x{line}\n" for line in wanted)

        for encoding in ("utf-8", "utf-8-sig", "utf-16"):
            job = reader(text.encode(encoding), Format.TXT)
            assert [row.text[1:] for row in job] == wanted


class TestLineEnds:
    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
    @pytest.mark.parametrize("mark", ["", "\ufeff"])
    def test_all_are_read_alike(self, kind: Format, end: str, mark: str) -> None:
        for data in (PLAIN[kind], PLAIN[kind][:-1], "\n" + PLAIN[kind]):
            job = reader((mark + data.replace("\n", end)).encode(), kind)

            assert [row.text for row in job] == BOTH
            assert job.line_end == end

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
    def test_lines_are_counted(self, kind: Format, end: bytes) -> None:
        first = {Format.TXT: b"# who", Format.CSV: b"email", Format.JSONL: b" "}[kind]
        entry = b'{"email":"a"}' if kind is Format.JSONL else b"a"

        data = end.join([b"", first, entry, b"", b"", entry])

        assert [row.line for row in rows(data, kind)] == [3, 6]

    def test_a_bare_cr_among_lfs_is_part_of_its_line(self) -> None:
        assert texts(b"a\rb\nc\r\r\nd\n") == [(1, "a\rb"), (2, "c\r"), (3, "d")]
        assert texts(b"a\nb\r") == [(1, "a"), (2, "b")]

    def test_a_bare_lf_among_crs_is_part_of_its_line(self) -> None:
        data = b"x" * HEAD + b"\ry\ra\nb\rz"

        assert texts(b"a\rb" + data)[2:] == [(3, "y"), (4, "a\nb"), (5, "z")]

    def test_a_cr_at_the_end_alone(self) -> None:
        assert texts(b"a@b.example\r") == [(1, "a@b.example")]
        assert texts(b"\r") == []

    def test_a_crlf_over_the_end_of_the_head(self) -> None:
        data = b"x" * (HEAD - 1) + b"\r\na@b.example\r\n"

        assert [line for line, _ in texts(data)] == [1, 2]

    def test_line_ends_in_quotes_are_not_the_files(self) -> None:
        data = b'email,"a\nnote"\rx@a.example,"one\ntwo"\ry@a.example,three\r'
        job = reader(data, Format.CSV)

        assert job.line_end == "\r"
        assert [row.fields for row in job] == [
            ("x@a.example", "one\ntwo"),
            ("y@a.example", "three"),
        ]
        assert reader(data.translate(bytes.maketrans(b"\r\n", b"\n\r")), Format.CSV).line_end == (
            "\n"
        )

    def test_a_quote_that_is_never_closed(self) -> None:
        assert reader(b'email\n5" disk\n', Format.CSV).line_end == "\n"

    @given(st.binary(max_size=200))
    def test_every_line_is_accounted_for(self, data: bytes) -> None:
        try:
            found = rows(b"#\n" + data, Format.TXT)
        except UnreadableJob:
            assert b"\0" in data
            return

        wanted = [
            number
            for number, line in enumerate(data.split(b"\n"), 2)
            if (start := line.removesuffix(b"\r").lstrip(b" \t")) and not start.startswith(b"#")
        ]
        assert [row.line for row in found] == wanted

    @given(st.lists(st.text(st.sampled_from('ab ü"\v'))))
    def test_every_line_of_an_old_mac(self, lines: list[str]) -> None:
        data = "#\r#" + "".join(f"\r{line}" for line in lines)

        assert texts(data.encode()) == [
            (number, line) for number, line in enumerate(lines, 3) if line.strip(" \t")
        ]


class TestPacked:
    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
    def test_in_every_format(self, kind: Format, encoding: str) -> None:
        data = PLAIN[kind].encode(encoding)

        job = reader(gzip.compress(data), kind, b"list.gz")

        assert [row.text for row in job] == BOTH
        assert job.digest == hashlib.sha256(gzip.compress(data)).digest()

    def test_several_members_and_zeros_behind_them(self) -> None:
        data = gzip.compress(b"a@b.ex") + gzip.compress(b"ample\n") + gzip.compress(b"c\n")

        assert [
            row.text for row in reader(data + b"\0" * 70_000, Format.TXT, b"list.txt.gz~2")
        ] == ["a@b.example", "c"]

    @pytest.mark.parametrize("kind", FORMATS)
    def test_nothing_packed(self, kind: Format) -> None:
        assert list(reader(gzip.compress(b""), kind, b"list.gz")) == []

    @pytest.mark.parametrize("data", [b"", b"\x1f\x8b", gzip.compress(b"")[:-1]])
    def test_less_than_nothing(self, data: bytes) -> None:
        assert complaint(data, Format.TXT, b"list.gz") == (
            "list.gz, line 1: the gzip ends here, too early; the file is not whole"
        )

    @pytest.mark.parametrize("data", [b"a@b.example\n", b"\0" * 99, zlib.compress(b"a@b.example")])
    def test_not_packed_at_all(self, data: bytes) -> None:
        assert complaint(data, Format.TXT, b"list.gz") == (
            "list.gz, line 1: it is not gzip, as the .gz at the end of its name says"
        )

    def test_packed_and_not_called_so(self) -> None:
        assert complaint(gzip.compress(b"a@b.example\n"), Format.CSV, b"list.csv") == (
            "list.csv, line 1: it is gzip; a packed file has .gz at the end of its name"
        )

    def test_packed_twice(self) -> None:
        data = gzip.compress(gzip.compress(b"a@b.example\n"))

        assert complaint(data, Format.TXT, b"list.gz").startswith("list.gz, line 1: it is gzip")

    @pytest.mark.parametrize("kind", FORMATS)
    def test_the_end_is_missing(self, kind: Format) -> None:
        line = b'{"email":"a@b.example"}\n' if kind is Format.JSONL else b"email\n"
        whole = gzip.compress(line * 5000, 0)

        for cut in (1, 9, 1000, 80_000 if kind is Format.JSONL else 10_000):
            words = complaint(whole[:-cut], kind, b"list.gz")
            unpacker = zlib.decompressobj(31)
            number = unpacker.decompress(whole[:-cut]).count(b"\n") + 1
            assert words == (
                f"list.gz, line {number}: the gzip ends here, too early; the file is not whole"
            )

    @pytest.mark.parametrize(
        ("place", "reason"),
        [
            (-1, "incorrect length check"),
            (-5, "incorrect data check"),
            (2, "unknown compression method"),
            (10, "invalid code lengths set"),
        ],
    )
    def test_damaged(self, place: int, reason: str) -> None:
        data = bytearray(gzip.compress(b"a@b.example\nc@d.example\n"))
        data[place] ^= 0xFF

        assert complaint(bytes(data), Format.TXT, b"list.gz") == (
            f"list.gz, line 1: the gzip cannot be unpacked from about here on ({reason})"
        )

    def test_damaged_far_behind(self) -> None:
        data = bytearray(gzip.compress(b"12345678901\n" * 100_000, 0))
        data[-1] ^= 0xFF

        words = complaint(bytes(data), Format.TXT, b"list.gz")

        match = re.match(r"list\.gz, line (\d+): the gzip cannot be unpacked from about", words)
        assert match is not None
        assert 100_000 - stream_module.PIECE / 12 <= int(match[1]) <= 100_001

    def test_something_else_behind_it(self) -> None:
        words = complaint(gzip.compress(b"a\n") + b"b\n", Format.TXT, b"list.gz")

        assert words == (
            "list.gz, line 1: the gzip cannot be unpacked from about here on "
            "(incorrect header check)"
        )

    @given(st.lists(st.binary(max_size=300)), st.integers(1, 50), st.integers(0, 9))
    def test_any_pieces(self, members: list[bytes], size: int, level: int) -> None:
        data = b"".join(gzip.compress(member, level) for member in members) or gzip.compress(b"")

        assert b"".join(unpacked(pieces(data, size))) == b"".join(members)

    @pytest.mark.parametrize("content", [b"", b"x" * 99_999, bytes(range(256)) * 999])
    @pytest.mark.parametrize("size", [1, 100, 100_000])
    def test_any_size_of_piece(
        self, content: bytes, size: int, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(stream_module, "PIECE", 64)
        found = list(unpacked(pieces(gzip.compress(content), size)))

        assert b"".join(found) == content
        assert max(map(len, found), default=0) <= 64


#: Bytes of a line that is meant to fill the memory.
SIZE = 50_000_000
BEFORE = {Format.TXT: b"", Format.CSV: b"email\n", Format.JSONL: b""}


class TestMemory:
    def squeezed(self, before: bytes, piece: bytes = b"x", end: bytes = b"\n") -> bytes:
        packer = zlib.compressobj(9, zlib.DEFLATED, 31)
        parts = [packer.compress(before)]
        parts += [packer.compress(piece * 1_000_000) for _ in range(SIZE // 1_000_000)]
        return b"".join((*parts, packer.compress(end), packer.flush()))

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("packed", [False, True])
    def test_a_line_of_50_mb(self, kind: Format, packed: bool) -> None:
        if packed:
            stream: BinaryIO = io.BytesIO(self.squeezed(BEFORE[kind]))
        else:
            stream = cast(BinaryIO, Endless(SIZE))
        found: list[Row] = []

        def work() -> None:
            name = b"list.gz" if packed else b"list"
            if kind is Format.CSV:
                with pytest.raises(UnreadableJob, match=f"longer than {MAX_RECORD} "):
                    list(JobReader(stream, name, kind))
            else:
                found.extend(JobReader(stream, name, kind))

        used = peak(work)

        assert used < (1_000_000 if kind is Format.TXT else 6_000_000)
        if kind is not Format.CSV:
            (row,) = found
            assert row.problem is not None
            assert len(row.text) == MAX_ENTRY

    @pytest.mark.parametrize("kind", FORMATS)
    def test_what_has_no_rows_gives_others_their_turn(
        self, kind: Format, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "TURN", 10_000)
        data = BEFORE[kind] + b"\n" * 100_000 + b'"{}"\n'
        found = list(reader(data, kind).turns())

        assert found[:-1] == [None] * 10
        assert found[-1] is not None

    @pytest.mark.parametrize("kind", FORMATS)
    @pytest.mark.parametrize("line", [b"\n", b"# a comment\n", b"a@b.example\n"])
    def test_a_turn_is_no_more_than_so_many_lines(
        self, kind: Format, line: bytes, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "TURN_LINES", 100)
        reading = reader(BEFORE[kind] + line * 1000, kind)
        turns = [reading._lines.number for row in reading.turns() if row is None]

        # A CSV file's header is a line that was read before.
        assert [number - (kind is Format.CSV) for number in turns] == list(range(100, 1001, 100))

    @pytest.mark.parametrize(
        "nothing", [b"\0" * 2_000_000, gzip.compress(b"") * 60_000], ids=["zeros", "empty members"]
    )
    def test_a_gzip_that_holds_nothing_at_great_length(self, nothing: bytes) -> None:
        words = complaint(gzip.compress(b"a@b.example\n") + nothing, Format.TXT, b"list.gz")

        assert words == "list.gz, line 2: more than 1048576 bytes of the gzip hold nothing"

    def test_blanks_where_a_header_should_be(self) -> None:
        assert rows(b"\n" * 60_000 + b"email\na@b.example\n", Format.CSV)
        words = complaint(b"\n" * 70_000 + b"email\na@b.example\n", Format.CSV, b"list.csv")

        assert words == (
            "list.csv, line 65537: there are more than 65536 blanks where the header should be"
        )

    def test_a_line_without_end_gives_others_their_turn(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(lines_module, "TURN", 100_000)
        *turns, row = reader(b"x" * 1_000_001, Format.TXT).turns()

        assert turns == [None] * 8
        assert row is not None

    def test_utf16(self) -> None:
        stream = io.BytesIO(self.squeezed(b"\xff\xfe", b"x\0", b"\n\0"))

        assert peak(lambda: next(iter(JobReader(stream, b"list.gz", Format.TXT)))) < 2_000_000

    def test_an_old_mac(self) -> None:
        stream = io.BytesIO(self.squeezed(b"#\r#\r", end=b"\r"))

        assert peak(lambda: next(iter(JobReader(stream, b"list.gz", Format.TXT)))) < 2_000_000


class TestTrouble:
    def test_trouble_of_the_disk_is_no_fault_of_the_file(self) -> None:
        class Failing(io.BytesIO):
            def read(self, size: int | None = -1) -> bytes:
                data = super().read(size)
                if not data:
                    raise OSError(5, "Input/output error")
                return data

        for name in (b"list", b"list.gz"):
            stream = Failing(gzip.compress(b"a\n" * 99_999)[:-20] if name[4:] else b"a\n" * 99_999)
            with pytest.raises(OSError, match="Input/output"):
                list(JobReader(stream, name, Format.TXT))

    def test_what_could_be_read_comes_before_what_is_wrong(self) -> None:
        def broken() -> Iterator[bytes]:
            yield b"a\nb"
            raise Broken("no more")

        lines = Lines("list", broken())
        found = lines.read(99)

        assert next(found) == ("a\n", True)
        with pytest.raises(UnreadableJob, match=r"^list, line 2: no more$"):
            next(found)

    def test_wrong_from_the_beginning(self) -> None:
        def broken() -> Iterator[bytes]:
            raise Broken("nothing")
            yield b""

        with pytest.raises(UnreadableJob, match=r"^list, line 1: nothing$"):
            Lines("list", broken())
        with pytest.raises(Broken):
            as_utf8(broken())


def test_the_digest_is_that_of_the_file() -> None:
    data = b"\xef\xbb\xbfa@b.example\r\n" + b"x" * 500_000 + b"\nlast"

    whole, part = reader(data, Format.TXT), reader(data, Format.TXT)
    list(whole)
    next(iter(part))

    assert whole.digest.hex() == hashlib.sha256(data).hexdigest()
    assert part.digest != whole.digest
