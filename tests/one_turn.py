"""One turn of a reactor that is a Clock, and no more."""

from __future__ import annotations

from twisted.internet.task import Clock


def one_turn(clock: Clock) -> None:
    """Make the calls that are due; not those that they order, as `Clock.advance` would."""
    for call in [each for each in clock.calls if each.getTime() <= clock.seconds()]:
        function, arguments, keywords = call.func, call.args, call.kw
        call.cancel()
        function(*arguments, **keywords)
