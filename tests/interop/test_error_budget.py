"""Many unknown recipients at a Postfix as it ships: none of its delays is met (cases.md row 115).

From the tenth error of a session on, Postfix waits a second before every reply, and ends the
session with the twenty-first (smtpd_soft_error_limit, smtpd_error_sleep_time,
smtpd_hard_error_limit).
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from . import topology
from .street import Street

pytestmark = pytest.mark.interop

UNKNOWN = 120
#: Errors of a session that Postfix answers at once.
SOFT_LIMIT = 9
#: Seconds; a site hears of two new sessions a second at most.
TIMEOUT = 90.0

_END = re.compile(r"disconnect from \S+ .*\brcpt=(\d+)(?:/(\d+))?.* commands=(\d+)/(\d+)$")


def test_unknown_recipients_meet_no_delay(
    street: Street, capsys: pytest.CaptureFixture[Any]
) -> None:
    earlier = len(street.postfix_log())
    started = time.monotonic()
    process = street.run_in(
        [
            *(Path(sys.executable).with_name("mailprobe"), "check", "--json"),
            *(f"--source={address}={helo}" for address, helo in topology.SOURCES.items()),
            *("--reverse-path", topology.REVERSE_PATH, "--resolver", Street.resolver),
            *("--allow-network", "127.0.0.0/8"),
            *(f"unknown{number}@boxes.example" for number in range(UNKNOWN)),
        ],
        stdout=subprocess.PIPE,
        text=True,
    )
    out, _ = process.communicate(timeout=TIMEOUT)
    seconds = time.monotonic() - started
    outcomes = [json.loads(line) for line in out.splitlines()]
    assert [outcome["reason"] for outcome in outcomes] == ["no_such_mailbox"] * UNKNOWN
    log = street.postfix_log()[earlier:]
    ends = [match.groups() for line in log.splitlines() if (match := _END.search(line))]
    errors = [int(said) - int(good) for *_, good, said in ends]
    assert errors
    assert max(errors) <= SOFT_LIMIT
    assert "too many errors" not in log
    with capsys.disabled():
        print(
            f"\n{UNKNOWN} unknown recipients in {seconds:.1f} s, in {len(ends)} sessions of at "
            f"most {max(errors)} errors"
        )
