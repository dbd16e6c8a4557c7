"""aiosmtplib: the asyncio client, many sessions at once.

Knows aiosmtplib; each worker has one client and opens its sessions with it, one after the other.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from aiosmtplib import SMTP

from benchmarks.errand import HELO, REVERSE_PATH, TIMEOUT, Errand

#: Sessions at once.
WORKERS = 200


def contend(errands: Iterable[Errand]) -> None:
    """Do the errands, as many sessions at once as there are workers."""
    asyncio.run(_contend(errands))


async def _contend(errands: Iterable[Errand]) -> None:
    for errand in errands:
        sessions = errand.sessions()
        await asyncio.gather(*(_work(errand, sessions) for _ in range(WORKERS)))


async def _work(errand: Errand, sessions: Iterator[tuple[str, tuple[str, ...]]]) -> None:
    client = SMTP(
        hostname=errand.host,
        port=errand.port,
        local_hostname=HELO,
        timeout=TIMEOUT,
        start_tls=False,
    )
    for source, batch in sessions:
        await client.connect(source_address=(source, 0))
        await client.ehlo()
        await client.mail(REVERSE_PATH)
        errand.answered([(await client.rcpt(recipient)).code for recipient in batch])
        await client.quit()
