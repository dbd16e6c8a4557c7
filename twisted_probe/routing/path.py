"""What those have in common who may share a session.

Knows the values only; who shares one is `routing.sessions`'.
"""

from __future__ import annotations

from attrs import frozen

from twisted_probe.smtp.manner import Manner
from twisted_probe.vocabulary.exchanger import Exchanger
from twisted_probe.vocabulary.source import Source


@frozen
class Path:
    """The `site` that a session counts for, the exchanger, from where and with which
    reverse-path; the `manner` that an earlier session of theirs has advised (None: that of the
    memory), and why that one's TLS has `failed`."""

    site: str
    exchanger: Exchanger
    source: Source
    reverse_path: str
    manner: Manner | None = None
    failed: str | None = None
