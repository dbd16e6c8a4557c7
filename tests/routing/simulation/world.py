"""A whole world on a clock: hundreds of sites of all tempers, sources, a list, and what must hold.

Everything that happens is decided by one seed. `World.run` lets days pass and checks after every
step what no step may break (`Law`); it raises AssertionError naming the law.
"""

from __future__ import annotations

import random
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from itertools import accumulate
from typing import Any

from attrs import define, evolve, field
from twisted.internet.defer import Deferred, succeed

from tests.routing.simulation.laws import Law, Laws
from tests.routing.town_square import REFUSED, REVERSE_PATH, START, Book, Square
from twisted_probe.routing.engine import Engine
from twisted_probe.routing.memory import MemoryInRam
from twisted_probe.routing.prober import Prober
from twisted_probe.routing.sites import WORTH_KEEPING, Limits
from twisted_probe.routing.work import Task
from twisted_probe.sandbox import tempers
from twisted_probe.sandbox.exchanger import ExchangerFactory
from twisted_probe.sandbox.habits import Greylists, LimitsSessions, Tarpits
from twisted_probe.sandbox.temper import Temper, residents
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.outcome import Outcome, Retry
from twisted_probe.vocabulary.source import Source

NETWORKS = ("192.0.2.0/24", "198.18.0.0/15")
NETWORK_STARTS = ("192.0.2.", "198.18.", "198.19.")
PEOPLE = "ann ben carl dora emil postmaster"
#: Seconds between two restarts, on average.
RESTART = 60.0
#: Seconds after which everybody has to be answered.
PATIENCE = 3 * 24 * 3600.0
EPSILON = 1e-6


@define
class Count:
    """What one address has open, had at most, and when a session began there last."""

    open: int = 0
    most: int = 0
    began: float = float("-inf")


class WatchedSquare(Square):
    """A square that looks at every connection attempt, from its beginning to its end."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: Any,
        timeout: float = 30,
        bindAddress: tuple[str, int] = ("", 0),
    ) -> Any:
        self.world.dialled(host, bindAddress[0])
        return super().connectTCP(host, port, _Watched(self, host, factory), timeout, bindAddress)


class _Watched:
    """A factory that tells when what it made has ended."""

    def __init__(self, square: WatchedSquare, host: str, factory: Any) -> None:
        self._square = square
        self._host = host
        self._factory = factory

    def clientConnectionFailed(self, connector: Any, reason: Any) -> None:
        self._square.world.ended(self._host)
        self._factory.clientConnectionFailed(connector, reason)

    def buildProtocol(self, address: Any) -> Any:
        protocol = self._factory.buildProtocol(address)
        lost = protocol.connectionLost

        def connection_lost(reason: Any) -> None:
            self._square.world.ended(self._host)
            lost(reason)

        protocol.connectionLost = connection_lost
        return protocol


@define
class List:
    """A `Work` in memory that keeps account of everybody; `is_over` when all are answered."""

    square: Square
    due: deque[Task]
    benched: Callable[[], set[str]]
    out: set[int] = field(factory=set)
    done: dict[int, Outcome] = field(factory=dict)
    later: list[tuple[float, Task]] = field(factory=list)
    settled_at: list[float] = field(factory=list)
    laws: Laws = field(factory=Laws)

    @property
    def is_over(self) -> bool:
        return not (self.due or self.out or self.later)

    def take(self, limit: int) -> Deferred[Sequence[Task]]:
        now = self.square.seconds()
        self.due.extend(task for at, task in self.later if at <= now)
        self.later = [entry for entry in self.later if entry[0] > now]
        taken = [self.due.popleft() for _ in range(min(limit, len(self.due)))]
        for task in taken:
            self.laws.look(Law.ONCE_OUT, task.token[1] not in self.out, task)
            self.out.add(task.token[1])
        return succeed(taken)

    def _back(self, task: Task) -> None:
        self.laws.look(Law.ONCE_BACK, task.token[1] in self.out, task)
        self.out.discard(task.token[1])

    def report(self, settled: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        for task, outcome in settled:
            self._back(task)
            self.laws.look(Law.ONCE_ANSWERED, task.token[1] not in self.done, task)
            self._look_at_the_source(task, outcome)
            self.done[task.token[1]] = outcome
            self.settled_at.append(self.square.seconds())
        return succeed(None)

    def retry_at(self, waiting: Sequence[tuple[Task, Outcome]]) -> Deferred[None]:
        for task, outcome in waiting:
            self._back(task)
            self._look_at_the_source(task, outcome)
            again = Task(task.address, task.token, outcome.retry, task.wishes)
            assert outcome.next_attempt_at is not None
            self.later.append((outcome.next_attempt_at, again))
        return succeed(None)

    def give_back(self, tasks: Sequence[Task], delay: float = 0.0) -> Deferred[None]:
        for task in tasks:
            self._back(task)
            self.later.append((self.square.seconds() + delay, task))
        return succeed(None)

    def _look_at_the_source(self, task: Task, outcome: Outcome) -> None:
        retry: Retry | None = task.retry
        if retry is None or None in (retry.source, outcome.source):
            return
        # Only who was refused somewhere, or cannot be sent from, may be replaced.
        is_own = outcome.source == retry.source or retry.source in self.benched()
        self.laws.look(Law.TRIPLET, is_own, (retry, outcome))


class World:
    """Sites, domains, sources and a list, out of one `seed`."""

    def __init__(
        self,
        seed: int,
        *,
        sites: int = 40,
        domains: int = 100,
        recipients: int = 500,
        sources: int = 6,
        limits: Limits | None = None,
        crowd: int = 0,
        blocks: bool = True,
        restarts: int = 0,
    ) -> None:
        self.rng = random.Random(seed)
        self.chance = random.Random(seed)
        self.square = WatchedSquare(self)
        self.square.latency = self.rng.choice((0.01, 0.2, 1.0))
        self.limits = limits or self._limits()
        self.sources = [
            Source(f"203.0.113.{n}", helo=f"probe{n}.example.org", weight=1 + n % 3)
            for n in range(1, sources + 1)
        ]
        self.blocks = blocks
        self.steps = 0
        self.restarted = 0
        self.most = 0
        self.addresses: dict[str, Count] = defaultdict(Count)
        self.names: dict[str, Any] = {}
        self.records: dict[str, Any] = {}
        hosts = [self._settle(number) for number in range(sites)]
        asked = [self._found(number, hosts) for number in range(domains)]
        people = PEOPLE.split()
        tasks = [Task(parse_address(f"z{n}@crowd.example"), (2, -1 - n)) for n in range(crowd)]
        if crowd:
            self._settle_the_crowd()
        tasks += [
            Task(parse_address(f"{self.rng.choice([*people, f'x{n}', f'y{n}'])}@{domain}"), (1, n))
            for n, domain in enumerate(self.rng.choices(asked, k=recipients))
        ]
        self.work = List(self.square, deque(tasks), self._benched)
        self.laws = self.work.laws
        self.crowd = crowd
        self.wanted = len(tasks)
        self.memory = MemoryInRam()
        self._begin()
        delays = [self.chance.expovariate(1 / RESTART) for _ in range(restarts)]
        self.restarts = deque(accumulate(delays, initial=START))
        self.restarts.popleft()

    def _begin(self) -> None:
        """Let there be a prober and its engine."""
        self.prober = Prober(
            self.square,
            sources=self.sources,
            reverse_path=REVERSE_PATH,
            names=Book(self.names),
            allow_networks=NETWORKS,
            limits=self.limits,
            memory=self.memory,
            rng=self.chance,
            max_waiting=2,
        )
        self.engine = Engine(self.square, self.prober, self.work, window=1000, idle=5.0)

    # --- How it is made ----------------------------------------------------------------------

    def _limits(self) -> Limits:
        """Ceilings that are low enough to be met."""
        rng = self.rng
        return Limits(
            sessions=rng.choice((5, 20, 60)),
            per_site=rng.randint(1, 4),
            first_sessions=rng.randint(1, 4),
            starts_per_second=rng.choice((0.5, 2.0, 5.0)),
            rejections=rng.choice((20, 200)),
            rejections_per_second=rng.choice((0.2, 5.0)),
            errors_per_session=rng.choice((4, 9)),
            recipients_per_session=rng.choice((3, 10, 100)),
        )

    def _settle(self, number: int) -> str:
        """One host, of some temper, at an address; others may share that."""
        name = f"mx{number}.example"
        address = f"198.18.{number // 200}.{1 + number % 200}"
        self.names[name] = [f"A {address}"]
        if number and self.rng.random() < 0.1:
            address = f"198.18.{(number - 1) // 200}.{1 + (number - 1) % 200}"
            self.names[name] = [f"A {address}"]
            return name
        temper = self._temper()
        if isinstance(temper, Temper):
            house = ExchangerFactory(self.square, temper, name)
            self.square.houses[address] = house
            self.records[address] = house.record
        elif temper is not None:
            self.square.houses[address] = temper
        return name

    def _settle_the_crowd(self) -> None:
        """One slow exchanger, with more recipients than everybody else."""
        self.names["crowd.example"] = ["MX 10 mx.crowd.example"]
        self.names["mx.crowd.example"] = ["A 192.0.2.1"]
        temper = tempers.exim(residents(PEOPLE))
        slow = evolve(temper, habits=(*temper.habits, Tarpits(1.0)))
        house = ExchangerFactory(self.square, slow, "mx.crowd.example")
        self.square.houses["192.0.2.1"] = house
        self.records["192.0.2.1"] = house.record

    def _temper(self) -> Temper | Exception | None:
        known, rng = residents(PEOPLE), self.rng
        # Drawn in any case, so that the rest of the world is the same.
        refused = [each.address for each in self.sources[: rng.randint(1, 3)] if self.blocks]
        return rng.choices(
            [
                tempers.postfix(known),
                tempers.exim(known),
                tempers.greylisting(known, 300.0),
                tempers.catch_all(),
                tempers.blocking(known, *refused),
                tempers.postfix(known, LimitsSessions(2)),
                tempers.small_transactions(known, 3),
                tempers.rate_limiting(),
                tempers.vague(),
                tempers.troubled(),
                tempers.turning_away(),
                tempers.dropping(),
                tempers.postfix(known, Greylists(900.0)),
                REFUSED,
                None,
            ],
            [30, 12, 8, 6, 6, 6, 4, 3, 4, 2, 2, 2, 2, 2, 3],
        )[0]

    def _found(self, number: int, hosts: list[str]) -> str:
        """One domain, with its exchangers."""
        domain, rng = f"d{number}.example", self.rng
        kind = rng.random()
        if kind < 0.04:
            self.names[domain] = [f"A {rng.choice(('127.0.0.1', '10.1.2.3', '169.254.169.254'))}"]
        elif kind < 0.07:
            return f"nowhere{number}.example"
        else:
            # A few sites have most of the domains, and all others one or two.
            few = hosts[: max(1, len(hosts) // 10)]
            near = few if rng.random() < 0.4 else hosts
            mine = rng.sample(near, k=min(len(near), rng.choice((1, 1, 1, 2))))
            self.names[domain] = [f"MX {10 * n} {host}" for n, host in enumerate(mine, 1)]
        return domain

    def _benched(self) -> set[str]:
        now = self.square.seconds()
        return {address for address, _, _ in self.prober.sources.benched(now)}

    # --- What must hold ----------------------------------------------------------------------

    def dialled(self, host: str, source: str) -> None:
        """A connection attempt begins."""
        now, limits, look = self.square.seconds(), self.limits, self.laws.look
        look(Law.ALLOWED, host.startswith(NETWORK_STARTS), host)
        look(Law.SOURCES, source in self.prober.sources.addresses, source)
        at = self.addresses[host]
        gap = 1 / limits.starts_per_second
        look(Law.STARTS, now - at.began >= gap - EPSILON, host)
        at.began = now
        at.open += 1
        at.most = max(at.most, at.open)
        look(Law.SESSIONS, at.open <= limits.per_site, host)
        everywhere = sum(each.open for each in self.addresses.values())
        self.most = max(self.most, everywhere)
        look(Law.EVERYWHERE, everywhere <= limits.sessions, everywhere)

    def ended(self, host: str) -> None:
        """A connection, or the attempt at one, has ended."""
        self.addresses[host].open -= 1

    def check_rejections(self) -> None:
        """What each host has refused stayed below its budget, in every stretch of time."""
        limits = self.limits
        for host, record in self.records.items():
            ends = sorted((each.started, each.errors) for each in record.sessions)
            spent, before = 0.0, 0.0
            for started, errors in ends:
                spent = max(0.0, spent - (started - before) * limits.rejections_per_second)
                before = started
                spent += errors
                room = limits.rejections + limits.per_site * 2 * limits.errors_per_session
                self.laws.look(Law.REJECTIONS, spent <= room, host)

    # --- How it goes -------------------------------------------------------------------------

    @property
    def tail(self) -> list[float]:
        """Seconds after which each of those was answered who are not of the crowd."""
        return [
            at - START
            for (number, _), at in zip(self.work.done.items(), self.work.settled_at, strict=True)
            if number >= 0
        ]

    def run(self, until: Callable[[World], bool] = lambda world: world.work.is_over) -> None:
        """Until everybody is answered, or as told."""
        began = self.square.seconds()
        self.engine.start()
        while not until(self):
            lasted = self.square.seconds() - began
            goes_on = bool(self.square.getDelayedCalls()) and lasted < PATIENCE
            self.laws.look(Law.PROGRESS, goes_on, self._where_they_are())
            self.laws.check()
            self.square.step()
            self.steps += 1
            if self.restarts and self.square.seconds() >= self.restarts[0]:
                self.restarts.popleft()
                self._restart()
        self.laws.check()
        if self.work.is_over:
            self.finish()

    def _restart(self) -> None:
        """End, whatever goes on, and begin anew with what is remembered."""
        self._wait(self.engine.stop(self.chance.choice((0.0, 5.0, 25.0))))
        self._wait(self.prober.close())
        self.laws.look(Law.EVERYBODY, not self.work.out, self.work.out)
        self.square.advance(WORTH_KEEPING + self.chance.expovariate(1.0))
        self._begin()
        self.restarted += 1
        self._wait(Deferred.fromCoroutine(self.prober.recall_benches()))
        self.engine.start()

    def _wait(self, awaited: Deferred[None]) -> None:
        ended: list[object] = []
        awaited.addBoth(ended.append)
        while not ended:
            self.square.step()
            self.steps += 1
        assert ended == [None]

    def _where_they_are(self) -> str:
        work = self.work
        return f"{len(work.due)} due, {len(work.out)} out, {len(work.later)} later"

    def close(self) -> None:
        """End; nothing is left."""
        ended: list[Any] = []
        self.engine.stop(30.0).addBoth(ended.append)
        self.prober.close().addBoth(ended.append)
        for _ in range(200):
            if len(ended) == 2:
                break
            self.square.step()
        self.laws.look(Law.QUIET, ended == [None, None], ended)
        self.square.advance(self.square.latency)
        self.square.turn()
        left = [each for each in self.square.getDelayedCalls() if "Sites" not in str(each)]
        self.laws.look(Law.QUIET, not left and self.square.open == 0, left)
        self.laws.check()

    def finish(self) -> None:
        """End, when everybody is answered."""
        self.close()
        self.laws.look(Law.EVERYBODY, len(self.work.done) == self.wanted, self.wanted)
        self.check_rejections()
        self.laws.check()

    @property
    def summary(self) -> Counter[str]:
        """How many came to which reason."""
        return Counter(each.reason.value for each in self.work.done.values())
