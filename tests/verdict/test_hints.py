"""How long exchangers ask us to wait, their limits, and their links."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from twisted_probe.verdict.hints import (
    LONGEST_HINT,
    MAX_LINK,
    MAX_LINKS,
    Limit,
    limit_hint,
    links,
    retry_hint,
)
from twisted_probe.vocabulary.reply import Reply


def hint(text: str) -> float | None:
    return retry_hint(Reply(450, (text.encode(),)))


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("4.7.1 please try again in 300 seconds", 300),
        ("4.7.1 Greylisted for 300 seconds, see http://postgrey.example/", 300),
        ("retry in 5 minutes", 300),
        ("Retry after 1 hour.", 3600),
        ("try again later (in about 10 min)", 600),
        ("try again in 1 hour and 30 minutes", 5400),
        ("wait 90s", 90),
        ("come back in 00:05:00", 300),
        ("delayed 04:30", 270),
        ("try again in 2 days", LONGEST_HINT),
        ("try again in 99:00:00", LONGEST_HINT),
        ("try again in 9999999 hours", LONGEST_HINT),
        ("try again\tin 300 seconds", 300),
        ("Greylisted for 5 minutes", 300),
        ("Greylisting in action, please come back in 00:04:53", 293),
        ("retry timeout not reached, try again after 01:00:00", 3600),
        ("your IP is blocked for 3600 seconds", 3600),
        ("Bitte erneut in 5 Minuten", 300),
        ("Réessayez dans 10 minutes", 600),
        ("Intente de nuevo en 90 segundos", 90),
        ("Riprovare tra 5 minuti", 300),
        ("Retry-After: 60", 60),
        ("retry after 60", 60),
        ("retry in 1h30m", 5400),
        ("try again in 1.5 hours", 5400),
        ("try again in 0,5 h", 1800),
        ("try again in 999999999 seconds", LONGEST_HINT),
        ("next attempt in 1800 s", 1800),
        ("not before 5 minutes", 300),
        ("please wait 2 hours, 15 minutes and 30 seconds", 8130),
        ("Bitte in 5 Minuten erneut versuchen", 300),
        ("Bitte versuchen Sie es in 1 Stunde", 3600),
        ("Bitte warten Sie 20 Sekunden", 20),
        ("Veuillez réessayer dans 2 heures", 7200),
        ("Réessayez dans 1 heure et 30 minutes", 5400),
        ("Espere 2 horas", 7200),
        ("Tente novamente em 5 minutos", 300),
        ("Aguarde 30 segundos", 30),
        ("Riprovare fra 1 ora", 3600),
        ("Riprovi, riprovare tra 2 giorni", LONGEST_HINT),
        ("Probeer het over 5 minuten opnieuw", 300),
        ("Wacht 2 uur", 7200),
        ("Spróbuj ponownie za 5 minut", 300),
        ("Odczekaj 2 godziny", 7200),
        ("Zkuste to znovu za 3 hodiny", 10800),
        ("Повторите через 5 минут", 300),
        ("Попробуйте через 2 часа", 7200),
        ("Подождите 30 секунд", 30),
    ],
)
def test_a_hint_is_read(text: str, seconds: float) -> None:
    assert hint(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "try again later",
        "try again in a few minutes",
        "try again in 0 seconds",
        "more than 100 messages per 5 minutes",
        "try again 5 times",
        "greylisted by host 10 at 12",
        "try again in -5 seconds",
        "try again at 12:30:00",
        "try again after 12:30 GMT",
        "versuchen Sie es um 12:30 Uhr erneut",
        "try again in 5 somethings",
        "100 messages in 5 minutes, try again",
        "retry after 1.2.3",
    ],
)
def test_no_hint_is_none(text: str) -> None:
    assert hint(text) is None


@given(st.integers(200, 599), st.lists(st.binary()))
def test_it_never_raises_and_is_bounded(code: int, lines: list[bytes]) -> None:
    seconds = retry_hint(Reply(code, tuple(lines)))
    assert seconds is None or 0 < seconds <= LONGEST_HINT


@pytest.mark.parametrize(
    ("text", "limit"),
    [
        ("452 4.5.3 Too many recipients, at most 25 recipients", Limit(25, "recipients")),
        ("452 Maximum limit of 50 recipients reached", Limit(50, "recipients")),
        ("452 Error: too many recipients (limit is 100)", Limit(100, "recipients")),
        ("421 Too many connections, max 10 per IP", Limit(10, "connections")),
        ("421 only 3 SMTP sessions allowed", Limit(3, "connections")),
        ("450 exceeded the limit of 200 messages per hour", Limit(200, "messages", 3600)),
        ("450 domain has exceeded the max emails per hour (200/200)", Limit(200, "messages", 3600)),
        ("450 daily limit: 1000 e-mails", Limit(1000, "messages", 86400)),
        ("421 more than 20 errors", Limit(20, "errors")),
        ("421 too many commands: up to 100 commands", Limit(100, "commands")),
        ("452 max rcpts 5 here", Limit(5, "recipients")),
        ("452 max 1,000 recipients", Limit(1000, "recipients")),
        ("552 too many messages: 1'000 allowed", Limit(1000, "messages")),
        ("450 limit: 50 recipients/hour", Limit(50, "recipients", 3600)),
    ],
)
def test_a_limit_is_read(text: str, limit: Limit) -> None:
    assert limit_hint(Reply(int(text[:3]), (text[4:].encode(),))) == limit


@pytest.mark.parametrize(
    "text",
    [
        "452 too many recipients",
        "452 10 recipients were asked",
        "452 too many recipients, try again in 300 seconds",
        "452 at most 0 recipients",
        "550 the limit is 5",
        "250 at most 25 recipients",
    ],
)
def test_no_limit_is_none(text: str) -> None:
    assert limit_hint(Reply(int(text[:3]), (text[4:].encode(),))) is None


def test_links_are_kept_as_they_are_written() -> None:
    text = (
        "5.7.1 [192.0.2.1] listed (https://List.example/Query?ip=192.0.2.1). Delist: "
        "<http://list.example/out>; again www.list.example, http://list.example/out"
    )
    assert links(Reply(550, (text.encode(),))) == (
        "https://List.example/Query?ip=192.0.2.1",
        "http://list.example/out",
        "www.list.example",
    )


def test_links_are_bounded() -> None:
    many = " ".join(f"http://list.example/{number}" for number in range(9))
    assert len(links(Reply(550, (many.encode(),)))) == MAX_LINKS
    assert links(Reply(550, (b"http://" + b"a" * MAX_LINK,))) == ()
    assert links(Reply(550, (b"no link",))) == ()


@given(st.integers(200, 599), st.lists(st.binary()))
def test_the_rest_never_raises(code: int, lines: list[bytes]) -> None:
    reply = Reply(code, tuple(lines))
    limit = limit_hint(reply)
    assert limit is None or 0 < limit.number < 10**6
    assert len(links(reply)) <= MAX_LINKS
