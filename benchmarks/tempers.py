"""The table of all tempers: what was expected, what came of it, in how long, and what was held.

    python -m benchmarks.tempers

writes docs/tempers.rst. Knows how to weigh a session and how the page looks; whom it meets is
`sandbox.hostile`'s affair.
"""

from __future__ import annotations

import weakref
from collections import defaultdict, deque
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

from twisted.internet.defer import Deferred
from twisted.internet.task import react

from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import Limits
from twisted_probe.sandbox.catalogue import CHAPTERS
from twisted_probe.sandbox.hostile import HASTE, Encounter, hostile_town, meet_all
from twisted_probe.sandbox.town import Town
from twisted_probe.smtp.protocol import ProbeProtocol
from twisted_probe.testing import options_for
from twisted_probe.vocabulary.reply import Reply

PAGE = Path(__file__).parent.parent / "docs" / "tempers.rst"

#: What a session is made of, beside containers: objects of these packages are looked into.
_OURS = ("twisted_probe.smtp.", "twisted_probe.vocabulary.")

_HEAD = """\
=======
Tempers
=======

The catalogue of odd, broken and hostile exchangers (``twisted_probe.testing.CATALOGUE``), and what
came of a visit to all of them at once, over loopback. This page is written by
``python -m benchmarks.tempers``; ``mailprobe demo --with hostile`` shows the same without the last
column.

* *Expected* and *observed* are reasons, of those who live there, a stroke, and of those who do not;
  one where they are the same. A cross marks what is not as expected.
* *Seconds* are those until the last outcome was final, with the short timeouts and few attempts of
  ``HASTE``: {command:g} s for a reply, {attempts} attempts where the trouble may pass. With the
  real ones they are minutes to hours.
* *Octets* are the most that was held of one exchanger at any end of a read: of every octet string
  and text that a session leads to (the line that is not yet ended, the reply that is not yet
  complete, what we are about to say) and of the replies that anybody still keeps, each counted
  once. What one read brings, 64 KiB at most, comes on top while it is parsed.

{total}
"""


class Scales:
    """Weighs sessions while they are open; `peaks` has the most octets by exchanger address."""

    def __init__(self) -> None:
        self.peaks: dict[str, int] = defaultdict(int)
        self._replies: dict[str, dict[int, weakref.ref[Reply]]] = defaultdict(dict)

    @contextmanager
    def weighing(self) -> Iterator[None]:
        """Weigh every session of this process after each read."""
        received, made = ProbeProtocol.dataReceived, Reply.__init__

        def weighed(session: ProbeProtocol, data: bytes) -> None:
            received(session, data)
            self._weigh(session)

        def kept(reply: Reply, *args: Any, **kwargs: Any) -> None:
            made(reply, *args, **kwargs)
            self._keep(reply)

        with (
            patch.object(ProbeProtocol, "dataReceived", weighed),
            patch.object(Reply, "__init__", kept),
        ):
            yield

    def _keep(self, reply: Reply) -> None:
        replies, key = self._replies[reply.host], id(reply)
        replies[key] = weakref.ref(reply, lambda _: replies.pop(key, None))

    def _weigh(self, session: ProbeProtocol) -> None:
        replies = [reference() for reference in self._replies[session.host].values()]
        held = {id(each): len(each) for each in _texts([vars(session), replies])}
        self.peaks[session.host] = max(self.peaks[session.host], sum(held.values()))


def _texts(roots: Iterable[object]) -> Iterator[bytes | bytearray | str]:
    """Every text and octet string that the roots lead to by containers and objects of ours."""
    seen: set[int] = set()
    waiting = deque(roots)
    while waiting:
        here = waiting.popleft()
        if id(here) in seen:
            continue
        seen.add(id(here))
        if isinstance(here, (bytes, bytearray, str)):
            yield here
        elif isinstance(here, Mapping):
            waiting.extend((*here.keys(), *here.values()))
        elif isinstance(here, (tuple, list, set, frozenset, deque)):
            waiting.extend(here)
        elif type(here).__module__.startswith(_OURS):
            waiting.extend(getattr(here, "__dict__", {}).values())
            slots = [getattr(kind, "__slots__", ()) for kind in type(here).__mro__]
            names = [name for each in slots for name in each if not name.startswith("__")]
            waiting.extend(getattr(here, name, None) for name in names)


def page_of(encounters: Iterable[Encounter], town: Town, scales: Scales) -> str:
    """The page."""
    met = {encounter.oddity.name: encounter for encounter in encounters}
    address = {house.name: house.address for house in town.houses}
    wrong = sum(not encounter.is_as_expected for encounter in met.values())
    parts = [
        _HEAD.format(
            command=HASTE["timeouts"].command,
            attempts=len(HASTE["ladder"].temporary) + 1,
            total=f"{len(met)} tempers, {wrong or 'none'} not as expected, and at "
            f"most {max(scales.peaks.values())} octets held.",
        )
    ]
    for title, oddities in CHAPTERS.items():
        parts.append(f"\n{title}\n{'=' * len(title)}\n\n.. list-table::\n   :header-rows: 1\n\n")
        parts.append(_row("temper", "rows", "what it does", "expected", "observed", "s", "octets"))
        for oddity in oddities:
            encounter = met[oddity.name]
            mark = "" if encounter.is_as_expected else " ✘"
            parts.append(
                _row(
                    f"``{oddity.name}``",
                    ", ".join(map(str, oddity.rows)),
                    oddity.words,
                    oddity.expected_in_words,
                    encounter.observed_in_words + mark,
                    f"{encounter.seconds:.1f}",
                    str(scales.peaks[address[f"mx.{oddity.domain}"]]),
                )
            )
    return "".join(parts)


def _row(*cells: str) -> str:
    first, *others = cells
    return f"   * - {first}\n" + "".join(f"     - {cell}\n" for cell in others)


async def write_page(reactor: Any) -> None:
    """Meet them all, and write down what came of it."""
    scales = Scales()
    town = await hostile_town().start(reactor)
    prober = Prober(reactor, **options_for(town), **HASTE, limits=Limits(rest=0.0))
    try:
        with scales.weighing():
            encounters = await meet_all(prober, reactor)
    finally:
        await prober.close()
        await town.stop()
    PAGE.write_text(page_of(encounters, town, scales), "utf-8")
    print(PAGE)


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(write_page(reactor)))
