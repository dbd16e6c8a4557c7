"""The dialogues of tests/transcripts: said line by line, reported as they have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.smtp.dialogue_files import DialogueError, read_dialogue, replay

FOLDER = Path(__file__).parent.parent / "transcripts"
FILES = sorted(FOLDER.glob("*.txt"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_dialogue(path: Path) -> None:
    dialogue = read_dialogue(path)
    assert replay(dialogue) == list(dialogue.report)


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 25


HEAD = "Rows: 1\nRecipients: ann\nReport:\n    ann@example.net: 250\n"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "line 0: Rows: is missing"),
        ("Rows: one\n", "line 1: no numbers of rows: 'one'"),
        ("Rows: 1\nRows: 2\n", "line 2: Rows: stands there twice"),
        ("Rows: 1\nRecipients: a b@@c\n", "line 2: 'b@@c': "),
        ("Control: a b\n", "line 1: one control, or no such line"),
        ("Options: errors=3\n", "line 1: no options: 'errors=3'"),
        ("Report: ann 250\n", "line 1: the report stands below, four columns in"),
        (HEAD, "line 4: nobody says anything"),
        (HEAD + "X: 220 mx\n", "line 5: neither S:, S+, C:, a mark nor a header: 'X: 220 mx'"),
        (HEAD + "-- silence long\n", "line 5: neither"),
        (HEAD + "S+ 220 mx\n", "line 5: S+ stands behind a line of the server"),
        (HEAD + "S: 220 \\q\n", "line 5: no escape: '\\\\q'"),
        (HEAD + "S: 220 mx\nRows: 3\n", "line 6: neither"),
    ],
)
def test_a_file_that_is_wrong(tmp_path: Path, text: str, words: str) -> None:
    path = tmp_path / "wrong.txt"
    path.write_text(text, "utf-8")
    with pytest.raises(DialogueError) as caught:
        read_dialogue(path)
    assert str(caught.value).startswith(f"wrong.txt, {words}")


@pytest.mark.parametrize(
    ("steps", "words"),
    [
        ("C: EHLO me\n", "line 5: the client said [], not ['EHLO me']"),
        ("S: 220 mx\nS: 250 mx\n", "line 6: before this the client said ['EHLO probe1"),
        ("S: 220 mx\n", "line 5: before this the client said ['EHLO probe1"),
        ("S: 220\\c\n", "line 5: the dialogue ends here, but the session waits"),
        ("-- FIN\nS: 220 mx\n", "line 6: the connection has ended"),
        ("S: 220 mx\nC: EHLO probe1.example.org\n", "line 6: the dialogue ends here, but"),
    ],
)
def test_a_session_that_went_another_way(tmp_path: Path, steps: str, words: str) -> None:
    path = tmp_path / "other.txt"
    path.write_text(HEAD + steps, "utf-8")
    with pytest.raises(DialogueError) as caught:
        replay(read_dialogue(path))
    assert str(caught.value).startswith(f"other.txt, {words}")
