"""What must outlive a session: the control of each domain and what it showed, the manner in which
each exchanger wants to be talked to, how fast each site is asked, what it has borne lately, and
which has refused whom.

Knows the contract, and a version of it in RAM; the ledger's is `jobs.ledger_memory`. It is asked
once for a batch, never for each recipient.

Nothing that is remembered makes an address dead. That somebody was accepted is kept for the
contrary: such a domain is served, whatever its exchangers say of relaying today. What a refusal
means only those tell who are accepted behind it in the same session (`routing.evidence`): a
source that was welcome some days ago may have been shut out since, in words that say nothing.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Generic, Protocol, TypeVar

from attrs import evolve, frozen
from twisted.internet.defer import Deferred, succeed

from twisted_probe.routing.tempo import Tempo
from twisted_probe.smtp.manner import UNKNOWN_MANNER, Manner
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.reply import Reply

_K = TypeVar("_K")
_V = TypeVar("_V")

#: Landmarks that are kept.
MAX_LANDMARKS = 16
_HOUR = 3600.0
#: Seconds that a domain stays known to accept everybody. Exim: callout_domain_positive_expire.
CATCH_ALL_YES = 7 * 24 * _HOUR
#: Seconds that a domain stays known not to. Exim: callout_domain_negative_expire.
CATCH_ALL_NO = 3 * _HOUR
#: Seconds that an exchanger is taken to serve the domain for one of whose recipients it took mail.
ACCEPTED_LATELY = 7 * 24 * _HOUR
#: Seconds that an exchanger is taken to be as it has shown itself; Postfix believes a good
#: answer of verify(8) as long (address_verify_positive_refresh_time).
MANNER_LIFE = 7 * 24 * _HOUR
#: Domains kept in RAM, and as many exchangers.
MAX_DOMAINS = 100_000


@frozen
class Known:
    """What is known of one domain as seen from one source.

    `control` is the local part of its control, chosen once; `control_reply` the reply that
    decided (a 2xx or 5xx) at `control_at`; `accepted_at` when a best exchanger has taken mail for a
    real recipient: it does serve the domain.
    """

    control: str
    control_reply: Reply | None = None
    control_at: float = 0.0
    accepted_at: float | None = None

    def fresh(self, now: float) -> Known:
        """The same without what is too old to be believed."""
        known = self
        if known.control_reply is not None:
            life = CATCH_ALL_YES if known.control_reply.is_positive else CATCH_ALL_NO
            if now - known.control_at > life:
                known = evolve(known, control_reply=None)
        if known.accepted_at is not None and now - known.accepted_at > ACCEPTED_LATELY:
            known = evolve(known, accepted_at=None)
        return known

    def joined(self, later: Known) -> Known:
        """What is known when `later` comes from an attempt that ran beside others: of each thing
        the newest. Another control begins anew."""
        if later.control != self.control:
            return later
        reply, at = self.control_reply, self.control_at
        if later.control_reply is not None and (reply is None or later.control_at >= at):
            reply, at = later.control_reply, later.control_at
        accepted = [each for each in (self.accepted_at, later.accepted_at) if each is not None]
        return Known(self.control, reply, at, max(accepted, default=None))


@frozen
class Learned:
    """The manner that an exchanger's sessions have advised, and when the last of them did."""

    manner: Manner
    at: float

    def fresh(self, now: float) -> Manner:
        """The manner, if it is not too old to be believed."""
        return UNKNOWN_MANNER if now - self.at > MANNER_LIFE else self.manner


@frozen
class Benched:
    """A source, by its address (IPv6: its network), that stays away from a site until then (POSIX
    seconds)."""

    source: str
    site: str
    until: float


@frozen
class Landmark:
    """An exchanger of this site answered at that time (seconds)."""

    site: str
    exchanger: Exchanger
    at: float


@frozen
class Pressure:
    """What a site, or the exchanger at an address (`kind` is "site" or "address", `whose` its
    name), had borne of us `at` that moment: so many rejected recipients are `spent`. It is left
    alone until `rests_until`; from `until` on this says nothing any more (seconds)."""

    kind: str
    whose: str
    spent: float
    at: float
    rests_until: float
    until: float


class Memory(Protocol):
    """Where `Known`, `Learned`, `Tempo`, `Pressure`, `Landmark` and `Benched` are kept. What keeps
    them fires once they are kept as safely as they will be."""

    def recall(self, domain: str, source: str, control: str) -> Deferred[Known]:
        """What is known of `domain` from `source` (an address). Where that is nothing, `control`
        is its control from now on, which is kept before this fires: of all who ask at the same
        time one chooses for the others."""
        ...

    def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
        """Keep it, joined with what was known (`Known.joined`)."""
        ...

    def learned(self, address: str) -> Deferred[Learned | None]:
        """What the exchanger at this address has taught.

        Asked before a session waits for its turn, and again at its turn: what is at hand then
        lets it begin at once, and not the closer to the one behind it."""
        ...

    def learn(self, address: str, learned: Learned) -> Deferred[None]:
        """Keep it in the place of what it has taught before."""
        ...

    def tempo(self, site: str) -> Deferred[Tempo | None]:
        """How fast the site was asked last."""
        ...

    def keep_tempo(self, site: str, tempo: Tempo) -> Deferred[None]:
        """Keep it in the place of the one before."""
        ...

    def pressures(self, now: float) -> Deferred[Sequence[Pressure]]:
        """All that say something at `now`."""
        ...

    def keep_pressures(self, pressures: Sequence[Pressure]) -> Deferred[None]:
        """Keep each in the place of the one before."""
        ...

    def landmarks(self) -> Deferred[Sequence[Landmark]]:
        """MAX_LANDMARKS at most, one of each site, the latest first."""
        ...

    def keep_landmark(self, landmark: Landmark) -> Deferred[None]:
        """Keep it in the place of the site's, or of the oldest."""
        ...

    def bench(self, benched: Benched) -> Deferred[None]:
        """Keep that a site has refused a source."""
        ...

    def benches(self, now: float) -> Deferred[Sequence[Benched]]:
        """All that last beyond `now`."""
        ...


class MemoryInRam:
    """A `Memory` that ends with the process; what was least recently used goes first."""

    def __init__(self, max_domains: int = MAX_DOMAINS) -> None:
        self._known: Lately[tuple[str, str], Known] = Lately(max_domains)
        self._learned: Lately[str, Learned] = Lately(max_domains)
        self._tempos: Lately[str, Tempo] = Lately(max_domains)
        self._pressures: Lately[tuple[str, str], Pressure] = Lately(max_domains)
        self._landmarks: Lately[str, Landmark] = Lately(MAX_LANDMARKS)
        self._benched: dict[tuple[str, str], Benched] = {}

    def recall(self, domain: str, source: str, control: str) -> Deferred[Known]:
        """See `Memory`."""
        known = self._known.get((domain, source))
        if known is None:
            known = Known(control)
            self._known.put((domain, source), known)
        return succeed(known)

    def remember(self, domain: str, source: str, known: Known) -> Deferred[None]:
        """See `Memory`."""
        before = self._known.get((domain, source))
        self._known.put((domain, source), known if before is None else before.joined(known))
        return succeed(None)

    def learned(self, address: str) -> Deferred[Learned | None]:
        """See `Memory`."""
        return succeed(self._learned.get(address))

    def learn(self, address: str, learned: Learned) -> Deferred[None]:
        """See `Memory`."""
        self._learned.put(address, learned)
        return succeed(None)

    def tempo(self, site: str) -> Deferred[Tempo | None]:
        """See `Memory`."""
        return succeed(self._tempos.get(site))

    def keep_tempo(self, site: str, tempo: Tempo) -> Deferred[None]:
        """See `Memory`."""
        self._tempos.put(site, tempo)
        return succeed(None)

    def pressures(self, now: float) -> Deferred[Sequence[Pressure]]:
        """See `Memory`."""
        return succeed([each for each in self._pressures.latest() if each.until > now])

    def keep_pressures(self, pressures: Sequence[Pressure]) -> Deferred[None]:
        """See `Memory`."""
        for each in pressures:
            self._pressures.put((each.kind, each.whose), each)
        return succeed(None)

    def landmarks(self) -> Deferred[Sequence[Landmark]]:
        """See `Memory`."""
        return succeed(self._landmarks.latest())

    def keep_landmark(self, landmark: Landmark) -> Deferred[None]:
        """See `Memory`."""
        self._landmarks.put(landmark.site, landmark)
        return succeed(None)

    def bench(self, benched: Benched) -> Deferred[None]:
        """See `Memory`."""
        self._benched[benched.source, benched.site] = benched
        return succeed(None)

    def benches(self, now: float) -> Deferred[Sequence[Benched]]:
        """See `Memory`."""
        self._benched = {key: each for key, each in self._benched.items() if each.until > now}
        return succeed(list(self._benched.values()))


class Lately(Generic[_K, _V]):
    """As many things as were used last."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._things: OrderedDict[_K, _V] = OrderedDict()

    def __contains__(self, key: _K) -> bool:
        return key in self._things

    def get(self, key: _K) -> _V | None:
        """That thing, which is used by that."""
        thing = self._things.get(key)
        if thing is not None:
            self._things.move_to_end(key)
        return thing

    def latest(self) -> list[_V]:
        """All, what was used last first."""
        return list(reversed(self._things.values()))

    def put(self, key: _K, thing: _V) -> None:
        """Have it in the place of the one before."""
        self._things[key] = thing
        self._things.move_to_end(key)
        if len(self._things) > self._most:
            self._things.popitem(last=False)
