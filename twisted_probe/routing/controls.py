"""What is asked beside the recipients, and what need not be asked.

Knows the operator's choices; not what comes of them (`routing.evidence`).
"""

from __future__ import annotations

from collections.abc import Iterable

from attrs import field, frozen

from twisted_probe.vocabulary.address import Address, parse_address


def _addresses(given: Iterable[str | Address]) -> tuple[Address, ...]:
    return tuple(parse_address(each) if isinstance(each, str) else each for each in given)


@frozen(kw_only=True)
class Controls:
    """The operator's choices.

    With `second_control` every session ends with the control, also where it is known, and with
    somebody who was accepted before a refusal: an exchanger that judges otherwise at the end of a
    session is not believed. With `skip_catch_all` nobody is asked whose domain is known to accept
    everybody. `known_good` are recipients that are known to be there: where refusals are vague
    they are asked too, in the place of postmaster, which explains less (`routing.evidence.EXEMPT`).
    """

    second_control: bool = False
    skip_catch_all: bool = False
    known_good: tuple[Address, ...] = field(default=(), converter=_addresses)


#: What holds where nothing was chosen.
DEFAULT_CONTROLS = Controls()
