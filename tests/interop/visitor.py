"""A plain client: what an exchanger says to RCPT, asked with smtplib and nothing of ours.

A script for `Street.run_in`: one JSON object in (the arguments of `visit`), one out.
"""

from __future__ import annotations

import json
import smtplib
import sys
from collections.abc import Sequence

#: Seconds for one reply.
TIMEOUT = 10.0


def visit(
    exchanger: str, source: str, helo: str, reverse_path: str, recipients: Sequence[str]
) -> dict[str, str]:
    """The reply to each of `recipients`, in one session from `source` to `exchanger`, port 25."""
    with smtplib.SMTP(exchanger, 25, helo, TIMEOUT, (source, 0)) as session:
        session.ehlo_or_helo_if_needed()
        session.mail(reverse_path)
        replies = {recipient: session.rcpt(recipient) for recipient in recipients}
    return {recipient: f"{code} {text.decode()}" for recipient, (code, text) in replies.items()}


if __name__ == "__main__":
    json.dump(visit(**json.load(sys.stdin)), sys.stdout)
