"""Is this mailbox alive? One address, asked by hand at one exchanger, from one source.

The example program of the old class: HELO, MAIL FROM, RCPT TO, "seems to be alive", and a wait
where the exchanger is greylisting. A domain that accepts everybody looks alive too: to find that
out is work for `Prober`, which asks about a random recipient beside yours.

Exit codes: 0 the recipient seems to be alive; 1 the exchanger refuses the recipient for good;
2 wrong usage; 3 nothing was learned of the recipient (greylisted to the end, blocklisted, or a
refusal of another kind); 4 there was no session, or it ended too early.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from ipaddress import ip_network
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater, react

from twisted_probe import (
    Context,
    Greylisted,
    ProbeProtocol,
    RecipientRefused,
    Refusal,
    SessionError,
    Source,
    open_session,
    parse_address,
    raise_for_refusal,
)

ALIVE, REFUSED, USAGE, UNDECIDED, NO_SESSION = range(5)

Value = TypeVar("Value")


def read_arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """The command line; one that is wrong ends the program with 2."""
    parser = argparse.ArgumentParser(description="Ask one exchanger about one recipient.")
    address = _read_by(parse_address)
    parser.add_argument("exchanger", type=_read_by(_host), help="its name or address")
    parser.add_argument("recipient", type=address, help="the address to ask about")
    parser.add_argument(
        "--port", type=_number(int, 1, 65535), default=25, help="the exchanger's port (default: 25)"
    )
    parser.add_argument(
        "--source",
        type=_read_by(lambda text: Source(text, "any.example.org").address),
        required=True,
        help="the address of this machine to ask from",
    )
    parser.add_argument(
        "--source-port",
        type=_number(int, 0, 65535),
        default=0,
        help="its port (default: 0, any that is free)",
    )
    parser.add_argument(
        "--helo",
        type=_read_by(lambda text: Source("192.0.2.1", text).helo),
        required=True,
        help="the name that the source has in the DNS",
    )
    parser.add_argument(
        "--reverse-path",
        type=address,
        required=True,
        help="your address for MAIL FROM; it receives mail",
    )
    parser.add_argument(
        "--timeout",
        type=_number(float, 0.1, 3600),
        default=30.0,
        help="seconds for each step (default: 30)",
    )
    parser.add_argument(
        "--wait",
        type=_number(float, 0, 86400),
        default=120.0,
        help="seconds to wait if greylisted (default: 120)",
    )
    parser.add_argument(
        "--tries",
        type=_number(int, 1, 100),
        default=3,
        help="how often to ask if greylisted (default: 3)",
    )
    parser.add_argument("--transcript", action="store_true", help="print what is said, to stderr")
    parser.add_argument(
        "--allow-network",
        type=_read_by(ip_network),
        action="append",
        default=[],
        help="a network that may be dialled although it is not public; may be repeated",
    )
    arguments = parser.parse_args(argv)
    arguments.source = Source(arguments.source, arguments.helo, arguments.source_port)
    return arguments


def _read_by(reader: Callable[[str], Value]) -> Callable[[str], Value]:
    """For `type`: the words of `reader`'s ValueError stand behind the argument's name."""

    def read(text: str) -> Value:
        try:
            return reader(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r}: {error}") from None

    return read


def _host(text: str) -> str:
    if not re.fullmatch(r"[\w.:-]{1,255}", text, re.ASCII):
        raise ValueError("it is no name of a host, and no address")
    return text


def _number(kind: Callable[[str], float], least: float, most: float) -> Callable[[str], float]:
    def read(text: str) -> float:
        number = kind(text)
        if not least <= number <= most:  # NaN neither
            raise ValueError(f"it is not between {least:g} and {most:g}")
        return number

    return _read_by(read)


async def run(reactor: Any, arguments: argparse.Namespace) -> int:
    """Ask, and where greylisted ask again; the exit code."""
    recipient = arguments.recipient.text
    tries = 1
    while True:
        try:
            await _ask(reactor, arguments)
        except Greylisted as error:
            _complain(error)
            if tries >= arguments.tries:
                return UNDECIDED
            print(f"{recipient}: asking again in {arguments.wait:g} s", flush=True)
            # The same source with the same names: that is how greylisting knows us again.
            await deferLater(reactor, arguments.wait)
            tries += 1
        except RecipientRefused as error:
            _complain(error)
            return REFUSED if error.code >= 500 else UNDECIDED
        except Refusal as error:
            _complain(error)
            return UNDECIDED
        except SessionError as error:
            _complain(error)
            return NO_SESSION
        else:
            print(f"{recipient} seems to be alive.")
            return ALIVE


async def _ask(reactor: Any, arguments: argparse.Namespace) -> None:
    """One session; it raises what stands between us and a yes."""
    session = await open_session(
        reactor,
        arguments.exchanger,
        arguments.port,
        source=arguments.source,
        timeout=arguments.timeout,
        allow_networks=[str(network) for network in arguments.allow_network],
        transcript=_show if arguments.transcript else None,
    )
    try:
        await _talk(session, arguments)
    finally:
        await session.quit()


async def _talk(session: ProbeProtocol, arguments: argparse.Namespace) -> None:
    ours = Context(
        source=arguments.source.address,
        helo=arguments.source.helo,
        reverse_path=arguments.reverse_path.text,
        recipient=arguments.recipient.text,
        exchanger=arguments.exchanger.rstrip("."),
    )
    assert session.greeting is not None
    raise_for_refusal(session.greeting, ours)
    raise_for_refusal(await session.helo(), ours)
    raise_for_refusal(await session.mail(arguments.reverse_path), ours)
    raise_for_refusal(await session.rcpt(arguments.recipient), ours)


def _show(line: str) -> None:
    print(line, file=sys.stderr)


def _complain(error: Exception) -> None:
    print(f"ERROR: {error}", file=sys.stderr, flush=True)


def main(reactor: Any) -> Deferred[None]:
    """What `react` runs."""
    arguments = read_arguments()

    async def end() -> None:
        sys.exit(await run(reactor, arguments))

    return Deferred.fromCoroutine(end())


if __name__ == "__main__":
    react(main)
