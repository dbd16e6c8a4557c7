"""Hearings as bytes, and in the ledger beside the outcomes that rest on them."""

from __future__ import annotations

import random
import sqlite3
import zlib
from typing import Any

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.jobs.database import transaction
from twisted_probe.jobs.packing import MAX_DIALOGUE, DamagedHearing, packed, unpacked
from twisted_probe.routing.work import Task
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.hearing import Basis, Dialogue, Hearing
from twisted_probe.vocabulary.mention import Mention
from twisted_probe.vocabulary.outcome import Outcome, Reason, Retry
from twisted_probe.vocabulary.reply import Reply, Stage

from .conftest import Daemon, result_of

texts = st.text(max_size=20)
replies = st.builds(
    Reply,
    code=st.integers(200, 599),
    lines=st.lists(st.binary(max_size=20), max_size=3),
    host=texts,
    stage=st.sampled_from(list(Stage)),
)
bases = st.builds(
    Basis,
    reply=replies,
    recipient=texts,
    source=st.sampled_from(("192.0.2.1", "192.0.2.2")),
    helo=texts,
    reverse_path=texts,
    exchanger=texts,
    best=st.booleans(),
    control=st.none() | replies,
    control_recipient=texts,
    control_wanted=st.booleans(),
    every_exchanger_refused_relay=st.booleans(),
    another_accepted=st.booleans(),
    exempt_accepted=st.booleans(),
    witness=texts,
    witness_reply=st.none() | replies,
    held_back=texts,
    dialogue=st.none() | st.integers(0, 9),
    rule=texts,
)
line_texts = st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=20)
dialogues = st.builds(
    Dialogue,
    exchanger=texts,
    exchanger_address=texts,
    begun_at=st.floats(0, 2e9),
    lines=st.lists(
        st.text(st.characters(codec="utf-8", exclude_characters="\n"), min_size=1, max_size=20),
        min_size=1,
    ).map(tuple),
    left_out=st.integers(0, 9),
)


@given(
    st.lists(dialogues, max_size=3),
    st.dictionaries(st.tuples(texts, texts), bases, max_size=4),
    st.none() | st.integers(1),
    st.none() | st.integers(1),
)
def test_round_trip(
    spoken: list[Dialogue], said: dict[Any, Basis], before: int | None, attempt: int | None
) -> None:
    hearing = Hearing(dialogues=spoken, bases=said, before=before, attempt=attempt)
    found = unpacked(packed(hearing))
    assert (list(found.dialogues), found.bases) == (spoken, said)
    assert (found.before, found.attempt) == (before, attempt)


def noise(lines: int, length: int) -> Dialogue:
    """What zlib makes nothing smaller of."""
    letters = [chr(point) for point in range(0x4E00, 0x9FFF)]
    rng = random.Random(1)
    return Dialogue(
        exchanger="mx.example",
        exchanger_address="192.0.2.1",
        begun_at=0.0,
        lines=tuple(f"S: {''.join(rng.choices(letters, k=length))}" for _ in range(lines)),
    )


@pytest.mark.parametrize(("lines", "length"), [(100, 512), (250, 400), (1000, 60)])
def test_a_session_has_its_bound(lines: int, length: int) -> None:
    loud = noise(lines, length)
    data = packed(Hearing(dialogues=[loud], bases={}))
    assert len(data) <= MAX_DIALOGUE + 256
    (kept,) = unpacked(data).dialogues
    assert len(kept.lines) + kept.left_out == lines
    opening = list(zip(kept.lines[:50], loud.lines[:50], strict=True))
    assert all(ours[:20] == theirs[:20] for ours, theirs in opening)


def test_a_basis_is_never_cut() -> None:
    reply = Reply(550, (b"\xff\x00" * 1000,), stage=Stage.RCPT)
    said = {("a.example", "ann"): Basis(reply=reply)}
    assert unpacked(packed(Hearing(dialogues=[noise(1000, 60)], bases=said))).bases == said


def test_what_vouched_by_an_older_rule_is_not_believed() -> None:
    """Written while an acceptance of some days before did: nobody knows of which kind it was."""
    basis = Basis(reply=Reply(550, (b"Rejected",)), another_accepted=True)
    plain = zlib.decompress(packed(Hearing(dialogues=(), bases={("a.example", "ann"): basis})))
    older = plain.replace(b"another_accepted", b"recipient_accepted_lately")
    assert older != plain
    (found,) = unpacked(zlib.compress(older)).bases.values()
    assert found == evolve(basis, another_accepted=False)


def test_postmaster_who_vouched_by_an_older_rule_is_one_who_is_exempt() -> None:
    basis = Basis(
        reply=Reply(550, (b"Rejected",)), another_accepted=True, witness="postmaster@a.example"
    )
    said = {
        ("a.example", "ann"): basis,
        ("a.example", "ben"): evolve(basis, witness="ann@a.example"),
    }
    ann, ben = unpacked(packed(Hearing(dialogues=(), bases=said))).bases.values()
    assert ann == evolve(basis, another_accepted=False, exempt_accepted=True)
    assert ben.another_accepted


# --- In the ledger ---------------------------------------------------------------------------


def hearing_about(tasks: list[Task], before: int | None) -> Hearing:
    reply = Reply(250, (b"2.1.5 Ok",), stage=Stage.RCPT)
    return Hearing(
        dialogues=[noise(3, 5)],
        bases={task.address.key: Basis(reply=reply, recipient=task.address.text) for task in tasks},
        before=before,
    )


def later(daemon: Daemon, task: Task, hearing: Hearing) -> Outcome:
    retry = Retry("192.0.2.1", "probe.example.org", "p@example.org", None, 1, daemon.now)
    return daemon.outcome(
        task,
        Reason.GREYLISTED,
        final=False,
        next_attempt_at=daemon.now + 300,
        retry=retry,
        hearing=hearing,
    )


def kept(daemon: Daemon) -> int:
    found: int = daemon.ledger._database.execute("SELECT count(*) FROM hearings").fetchone()[0]
    return found


def test_those_who_were_asked_together_share_one(daemon: Daemon) -> None:
    daemon.drop("list.txt", "ann@a.example\nben@a.example\ncarl@a.example\n")
    daemon.tick(2)
    ann, ben, carl = daemon.take()
    hearing = hearing_about([ann, ben, carl], None)
    daemon.answer(ann, ben, hearing=hearing)
    result_of(daemon.work.retry_at([(carl, later(daemon, carl, hearing))]))
    assert kept(daemon) == 1
    page = daemon.ledger.page(1, "list.txt")
    assert [each.evidence for each in page.outcomes] == [1, 1]
    found = daemon.ledger.hearing(1)
    assert found is not None
    assert found.bases == hearing.bases
    assert daemon.ledger.hearing(2) is None

    daemon.clock.advance(400)
    (again,) = daemon.take()
    assert again.retry is not None
    assert again.retry.evidence == 1
    daemon.answer(again, hearing=hearing_about([again], again.retry.evidence))
    second = daemon.ledger.hearing(2)
    assert second is not None
    assert second.before == 1
    daemon.tick(2)
    assert {row["probe_reason"] for row in daemon.table("list.txt")} == {"accepted"}


NO_HEARINGS = [
    *("{", "[]", "1", '{"before":1}', '{"bases":1,"shared":{}}', '{"bases":[],"shared":[]}'),
    '{"before":1,"shared":{},"bases":[[1]],"dialogues":[]}',
    '{"before":1,"shared":{},"bases":[],"dialogues":[[1]]}',
]


@pytest.mark.parametrize("text", NO_HEARINGS)
def test_what_is_no_hearing_is_called_so(text: str) -> None:
    with pytest.raises(DamagedHearing):
        unpacked(zlib.compress(text.encode()))


@given(st.binary() | st.none() | st.text())
def test_whatever_stands_there(content: Any) -> None:
    with pytest.raises(DamagedHearing):
        unpacked(content)


def test_a_damaged_one_is_none_and_is_forgotten(daemon: Daemon) -> None:
    daemon.drop("list.txt", "ann@a.example\n")
    daemon.tick(2)
    (ann,) = daemon.take()
    daemon.answer(ann, hearing=hearing_about([ann], None))
    with transaction(daemon.ledger._database) as database:
        database.execute("UPDATE hearings SET content = substr(content, 2)")
    assert daemon.ledger.hearing(1) is None
    assert daemon.ledger.erase_heard(Mention(parse_address("eve@e.example"))) == 1
    assert kept(daemon) == 0


def test_without_one_nothing_is_kept(daemon: Daemon) -> None:
    daemon.drop("list.txt", "ann@a.example\n")
    daemon.tick(2)
    daemon.answer_all()
    assert kept(daemon) == 0


def test_what_was_not_committed_is_kept_the_next_time(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch
) -> None:
    daemon.drop("list.txt", "ann@a.example\n")
    daemon.tick(2)
    (ann,) = daemon.take()
    hearing = hearing_about([ann], None)

    def full(*_: object) -> None:
        raise sqlite3.OperationalError("database or disk is full")

    with monkeypatch.context() as broken:
        broken.setattr(daemon.ledger, "_tally", full)
        with pytest.raises(sqlite3.OperationalError):
            daemon.answer(ann, hearing=hearing)
    assert kept(daemon) == 0
    daemon.answer(ann, hearing=hearing)
    assert kept(daemon) == 1
    (outcome,) = daemon.ledger.page(1, "list.txt").outcomes
    assert outcome.evidence is not None
    assert daemon.ledger.hearing(outcome.evidence) is not None
    assert evolve(outcome, hearing=hearing) == outcome
