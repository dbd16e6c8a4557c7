"""A list of addresses, probed from another Twisted program.

    python docs/examples/list_from_twisted.py --source 192.0.2.10=probe1.example.org \
        --reverse-path probe@example.org addresses.txt

Who answers "later" (greylisting, an exchanger in trouble) is asked again, as long as that is due
within the patience given; Ctrl-C cuts all sessions and leaves nothing behind.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import deferLater, react

from twisted_probe import Ladder, Outcome, Prober, Source


async def main(reactor: Any, *argv: str) -> None:
    """Probe a list and print a line for each address."""
    options = read(argv)
    try:
        addresses = lines_of(options.list)
        prober = Prober(
            reactor,
            sources=[Source.parse(text) for text in options.source],
            reverse_path=options.reverse_path,
            # None of the rest is needed on the open Internet.
            resolvers=[(host, int(port)) for host, port in map(split, options.resolver)],
            port=options.port,
            allow_networks=options.allow_network,
            ladder=Ladder(greylist=tuple(options.greylist)) if options.greylist else Ladder(),
        )
    except (OSError, ValueError) as error:
        sys.exit(f"list_from_twisted.py: {error}")
    asking = Deferred.fromCoroutine(ask(reactor, prober, addresses, options.patience))

    def stop() -> Deferred[None]:
        asking.cancel()
        return prober.close()

    # Ctrl-C, or whoever else stops the reactor: it waits until nothing is left of the sessions.
    reactor.addSystemEventTrigger("before", "shutdown", stop)
    try:
        for outcome in await asking:
            print(outcome.address, outcome.verdict.value, outcome.reason.value)
    except CancelledError:
        print("interrupted", file=sys.stderr)
    finally:
        await prober.close()


async def ask(
    reactor: Any, prober: Prober, addresses: Sequence[str], patience: float
) -> list[Outcome]:
    """The outcomes, final as far as `patience` (in seconds) allows."""
    deadline = reactor.seconds() + patience
    outcomes = await prober.probe_many(addresses)
    while True:
        due = {
            place: outcome.next_attempt_at
            for place, outcome in enumerate(outcomes)
            if outcome.next_attempt_at is not None and outcome.next_attempt_at <= deadline
        }
        if not due:
            return outcomes
        # Those that are due within a second of each other have one turn.
        first = min(due.values())
        turn = [place for place, moment in due.items() if moment <= first + 1.0]
        last = max(due[place] for place in turn)
        await deferLater(reactor, max(0.0, last - reactor.seconds()))
        # From the same source, with the same names: greylisting knows us by them.
        again = await prober.probe_many(
            [addresses[place] for place in turn], [outcomes[place].retry for place in turn]
        )
        for place, outcome in zip(turn, again, strict=True):
            outcomes[place] = outcome


def read(argv: Sequence[str]) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser()
    parser.add_argument("list", help="a file with an address a line")
    parser.add_argument("--source", action="append", required=True, metavar="ADDRESS=HELO")
    parser.add_argument("--reverse-path", required=True, metavar="ADDRESS")
    parser.add_argument("--patience", type=float, default=0.0, metavar="SECONDS")
    parser.add_argument("--resolver", action="append", default=[], metavar="ADDRESS:PORT")
    parser.add_argument("--port", type=int, default=25)
    parser.add_argument("--allow-network", action="append", default=[], metavar="CIDR")
    parser.add_argument("--greylist", type=float, action="append", metavar="SECONDS")
    return parser.parse_args(argv)


def lines_of(path: str) -> list[str]:
    """The addresses in a file; blank lines are none, nor those that begin with `#`."""
    lines = Path(path).read_text("utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.lstrip().startswith("#")]


def split(resolver: str) -> tuple[str, str]:
    """ADDRESS:PORT in two."""
    host, _, port = resolver.rpartition(":")
    return host, port


if __name__ == "__main__":
    react(lambda reactor, *argv: Deferred.fromCoroutine(main(reactor, *argv)), sys.argv[1:])
