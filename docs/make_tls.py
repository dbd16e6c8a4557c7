"""The table of docs/tls.rst: what comes of each certificate and failure, in each mode.

Knows the page; who shows what is the sandbox's affair (`sandbox.catalogue.starttls`), and the
handshakes are real ones, on loopback. `python -m docs.make_tls` writes the table anew.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.task import react

from twisted_probe.routing.prober import Prober
from twisted_probe.sandbox.certificates import authority_in_pem
from twisted_probe.smtp.tls import Tls, TlsMode
from twisted_probe.testing import CATALOGUE, HASTE, hostile_town, options_for
from twisted_probe.vocabulary.outcome import Outcome

PAGE = Path(__file__).parent / "tls.rst"
BEGIN = ".. The table is made by docs/make_tls.py.\n"
END = ".. End of the table.\n"

#: The exchangers, by their names in the catalogue; a plus: where old versions are allowed.
SHOWN = (
    "tls-good",
    "tls-wrong-name",
    "tls-expired",
    "tls-self-signed",
    "tls-unknown",
    "tls-old",
    "tls-old+",
    "tls-stripped",
    "tls-not-now",
    "tls-closes",
    "tls-garbage",
    "tls-silent",
    "tls-lost",
    "tls-injected",
    "tls-wanted",
    "tls-wanted-in-vain",
)

#: With them all at once and on a busy machine, what is slow is not to pass for silent.
PATIENCE = evolve(HASTE["timeouts"], greeting=10.0, command=10.0, session=40.0)


@frozen
class Row:
    """One exchanger, and the outcome of a living recipient of it in each mode."""

    name: str
    outcomes: Sequence[Outcome]

    def cells(self) -> Iterable[str]:
        """Its cells in words."""
        words = CATALOGUE[self.name.rstrip("+")].words
        yield f"{words}, where ``allow_old`` is true" if self.name.endswith("+") else words
        yield from map(told, self.outcomes)


def told(outcome: Outcome) -> str:
    """What an outcome says, and what of TLS."""
    tls = outcome.tls
    if tls is None:
        said = "no TLS" if outcome.code is not None else _without_address(outcome)
    elif tls.version is None:
        said = f"no TLS: {tls.problem}"
    else:
        verified = "verified" if tls.verified else "not verified"
        said = f"{tls.version}, {verified}" + (f": {tls.problem}" if tls.problem else "")
    return f"``{outcome.reason.value}``; {said}"


def _without_address(outcome: Outcome) -> str:
    return (outcome.text or "").removeprefix(f"{outcome.exchanger_address}: ")


async def met(reactor: Any, shown: Sequence[str] = SHOWN) -> list[Row]:
    """Ask at all of them, in all modes."""
    names = {name.rstrip("+") for name in shown}
    town = await hostile_town(
        oddity for oddity in CATALOGUE.values() if oddity.name in names
    ).start(reactor)
    probers: dict[Tls, Prober] = {}
    with TemporaryDirectory() as directory:
        trusted = Path(directory) / "authority.pem"
        trusted.write_bytes(authority_in_pem())
        for mode in TlsMode:
            for allow_old in (False, True):
                tls = Tls(mode=mode, ca_file=str(trusted), allow_old=allow_old)
                options = {**options_for(town), "timeouts": PATIENCE, "control": False}
                probers[tls] = Prober(reactor, **options, tls=tls)
    try:
        asked = [
            [
                prober.probe(f"ann@{name.rstrip('+')}.example")
                for tls, prober in probers.items()
                if tls.allow_old is name.endswith("+")
            ]
            for name in shown
        ]
        outcomes = await gatherResults([gatherResults(row) for row in asked])
    finally:
        for prober in probers.values():
            await prober.close()
        await town.stop()
    return [Row(name, row) for name, row in zip(shown, outcomes, strict=True)]


def page(text: str, rows: Iterable[Row]) -> str:
    """The page `text` with this table."""
    before, _, rest = text.partition(BEGIN)
    _, _, behind = rest.partition(END)
    heads = ["the exchanger", *(f"``{mode.value}``" for mode in TlsMode)]
    table = [".. list-table::", "   :header-rows: 1", "   :widths: 22 22 28 28", ""]
    for cells in (heads, *(row.cells() for row in rows)):
        table += (f"   {'- ' if n else '* - '}{cell}" for n, cell in enumerate(cells))
    lines = [line.replace("   - ", "     - ", 1) for line in table]
    return f"{before}{BEGIN}\n" + "\n".join(lines) + f"\n\n{END}{behind}"


async def write_page(reactor: Any) -> None:
    """Write it."""
    PAGE.write_text(page(PAGE.read_text("utf-8"), await met(reactor)), "utf-8")


if __name__ == "__main__":
    react(lambda reactor: Deferred.fromCoroutine(write_page(reactor)))
