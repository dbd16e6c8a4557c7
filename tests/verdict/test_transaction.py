"""When a refusal asks for a smaller transaction."""

from __future__ import annotations

import pytest

from twisted_probe.verdict.transaction import asks_for_fewer_recipients
from twisted_probe.vocabulary.reply import Reply


def asks(text: str) -> bool:
    return asks_for_fewer_recipients(Reply(int(text[:3]), (text[4:].encode(),)))


@pytest.mark.parametrize(
    "text",
    [
        "452 4.5.3 Error: too many recipients",
        "452 too many recipients",
        "552 Too many recipients",
        "552 5.5.3 sorry",
        "451 4.5.3 sorry",
        "550 5.5.3 sorry",
        "452 4.5.3 Maximum limit of 100 recipients reached",
        "452 4.5.3 Domain policy size per transaction exceeded",
        "452 recipient limit reached",
        "550 sorry (#5.5.3)",
    ],
)
def test_the_transaction_is_too_large(text: str) -> None:
    assert asks(text)


@pytest.mark.parametrize(
    "text",
    [
        "250 too many recipients, but ok",
        "452 4.2.2 mailbox full",
        "452 4.3.1 insufficient system storage",
        "452 Too many recipients received this hour",
        "450 4.7.1 Error: too many recipients from 192.0.2.1",
        "452 4.5.3 rate limit exceeded",
        "550 Too many invalid recipients",
        "421 4.5.3 too many errors",
        "550 4.5.3 sorry",
    ],
)
def test_it_is_not(text: str) -> None:
    assert not asks(text)
