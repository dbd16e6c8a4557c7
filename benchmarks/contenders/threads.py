"""smtplib with threads: the standard library's client, many sessions at once.

Knows smtplib; each thread has one session at a time.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from smtplib import SMTP

from benchmarks.errand import HELO, REVERSE_PATH, TIMEOUT, Errand

THREADS = 64


def contend(errands: Iterable[Errand]) -> None:
    """Do the errands, as many sessions at once as there are threads."""
    with ThreadPoolExecutor(THREADS) as pool:
        for errand in errands:

            def session(visit: tuple[str, tuple[str, ...]], errand: Errand = errand) -> list[int]:
                return _session(errand.host, errand.port, *visit)

            for codes in pool.map(session, errand.sessions()):
                errand.answered(codes)


def _session(host: str, port: int, source: str, batch: tuple[str, ...]) -> list[int]:
    with SMTP(host, port, HELO, TIMEOUT, (source, 0)) as client:
        client.ehlo()
        client.mail(REVERSE_PATH)
        return [client.rcpt(recipient)[0] for recipient in batch]
