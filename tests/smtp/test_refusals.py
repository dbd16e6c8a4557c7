"""What the errors are: `raise_for_refusal` for each kind, and what each error carries along."""

from __future__ import annotations

import pytest

from twisted_probe.smtp import errors
from twisted_probe.smtp.errors import (
    Blocklisted,
    Greylisted,
    Misuse,
    OtherRefusal,
    OutOfStep,
    ProtocolViolation,
    RateLimited,
    RecipientRefused,
    Refusal,
    SenderRefused,
    SessionError,
    SessionLost,
    TooManyRecipients,
    raise_for_refusal,
)
from twisted_probe.verdict.classify import Context
from twisted_probe.vocabulary.finding import Label
from twisted_probe.vocabulary.reply import Reply, Stage

HOST = "192.0.2.25"


def reply(line: str, stage: Stage = Stage.RCPT) -> Reply:
    return Reply(int(line[:3]), (line[4:].encode(),), host=HOST, stage=stage)


@pytest.mark.parametrize("line", ["250 2.1.5 Ok", "251 forwarded", "252 will try", "220 ready"])
def test_a_yes_is_handed_back(line: str) -> None:
    said = reply(line)
    assert raise_for_refusal(said) is said


@pytest.mark.parametrize(
    ("line", "stage", "kind", "label"),
    [
        (
            "550 5.7.1 Service unavailable; client host blocked using zen.spamhaus.org",
            Stage.RCPT,
            Blocklisted,
            Label.BLOCKLISTED,
        ),
        (
            "451 4.7.1 Greylisting in action, please come back later",
            Stage.RCPT,
            Greylisted,
            Label.GREYLISTED,
        ),
        (
            "421 4.7.0 Too many connections from your host",
            Stage.GREETING,
            RateLimited,
            Label.RATE_LIMITED,
        ),
        (
            "550 5.7.23 SPF validation failed",
            Stage.MAIL,
            SenderRefused,
            Label.SENDER_REFUSED,
        ),
        ("550 5.1.1 User unknown", Stage.RCPT, RecipientRefused, Label.NO_SUCH_MAILBOX),
        ("550 5.2.1 Mailbox disabled", Stage.RCPT, RecipientRefused, Label.MAILBOX_DISABLED),
        ("452 4.2.2 Mailbox full", Stage.RCPT, RecipientRefused, Label.MAILBOX_FULL),
        ("554 5.7.1 Relay access denied", Stage.RCPT, RecipientRefused, Label.RELAY_DENIED),
        ("556 5.1.10 null MX", Stage.RCPT, RecipientRefused, Label.NO_SUCH_DOMAIN),
        ("451 4.3.0 Local error in processing", Stage.RCPT, OtherRefusal, Label.TEMPORARY),
        ("554 Transaction failed", Stage.RCPT, OtherRefusal, Label.UNKNOWN),
    ],
    ids=lambda value: value if isinstance(value, str) and value[:3].isdigit() else "",
)
def test_a_no_is_raised(line: str, stage: Stage, kind: type[Refusal], label: Label) -> None:
    said = reply(line, stage)
    with pytest.raises(Refusal) as caught:
        raise_for_refusal(said)
    error = caught.value
    assert type(error) is kind
    assert error.finding.label is label
    assert error.reply is said
    assert (error.host, error.code, error.text) == (HOST, said.code, said.text)
    assert str(error) == f"{HOST}: {said}"


def test_every_label_but_yes_has_its_kind() -> None:
    assert set(errors._REFUSALS) <= set(Label) - {Label.ACCEPTED}
    assert set(errors._REFUSALS.values()) == set(Refusal.__subclasses__()) - {OtherRefusal}


def test_our_own_values_are_not_taken_for_the_exchangers_words() -> None:
    """A recipient that is called like a block list must not speak for the exchanger."""
    said = reply("550 5.1.1 <blocked@spamhaus.example>: User unknown")
    with pytest.raises(RecipientRefused):
        raise_for_refusal(said, Context(recipient="blocked@spamhaus.example"))


# --- What errors carry -------------------------------------------------------------------------


def test_the_families_are_apart() -> None:
    """Whose fault: misuse is ours, session errors the world's, refusals the exchanger's."""
    families = (Misuse, SessionError, Refusal)
    for family in families:
        others = tuple(set(families) - {family})
        assert not any(issubclass(kind, others) for kind in family.__subclasses__())


@pytest.mark.parametrize(
    "kind", [*SessionError.__subclasses__(), *ProtocolViolation.__subclasses__()]
)
def test_the_same_trouble_as_another_group_met_it(kind: type[SessionError]) -> None:
    trouble = kind("no luck", host=HOST)
    assert (trouble.stage, trouble.replies) == (Stage.CONNECT, ())
    yes = reply("250 Ok")
    again = trouble.during(Stage.RCPT, (yes,))
    assert type(again) is kind
    assert str(again) == str(trouble) == f"{HOST}: no luck"
    assert (again.host, again.stage, again.replies) == (HOST, Stage.RCPT, (yes,))
    assert (again.code, again.text) == (None, "no luck")
    assert trouble.replies == ()
    assert again.reason is kind.reason


def test_without_a_host_the_words_stand_alone() -> None:
    assert str(SessionLost("gone")) == "gone"


def test_every_error_tells_the_operator_what_it_is() -> None:
    kinds = [each for each in vars(errors).values() if isinstance(each, type)]
    for kind in kinds:
        if issubclass(kind, (Misuse, SessionError, Refusal)):
            assert kind.__doc__
            assert kind.__doc__.rstrip().endswith(".")


def test_too_many_recipients_says_whose_limit_it_is() -> None:
    assert str(TooManyRecipients(HOST, 100)).startswith(f"{HOST}: 100 recipients")


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (SessionLost("no luck", host=HOST), None, "no luck"),
        (SessionLost("goodbye: 421", host=HOST, code=421), 421, "goodbye: 421"),
        (TooManyRecipients(HOST, 7), None, "7 recipients were asked in this session, the limit"),
    ],
)
def test_host_code_and_text_are_on_what_is_no_refusal_too(
    error: SessionError | TooManyRecipients, code: int | None, text: str
) -> None:
    assert (error.host, error.code, error.text) == (HOST, code, text)
    assert str(error) == f"{HOST}: {text}"


def test_out_of_step_is_a_violation() -> None:
    assert issubclass(OutOfStep, ProtocolViolation)
    assert OutOfStep.reason is ProtocolViolation.reason


def test_the_exchangers_name_tells_the_provider() -> None:
    said = reply("554 IP=192.0.2.1 - None/bad reputation", Stage.GREETING)
    with pytest.raises(Refusal) as caught:
        raise_for_refusal(said, Context(exchanger="mx00.t-online.de"))
    assert caught.value.finding.rule == "t-online-greeting"
    said = reply("550 User unknown")
    with pytest.raises(RecipientRefused):
        raise_for_refusal(said)
    with pytest.raises(OtherRefusal):
        raise_for_refusal(said, Context(exchanger="mx1.au.com"))
