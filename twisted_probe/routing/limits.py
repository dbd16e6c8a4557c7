"""The ceilings that hold at every site of which nothing else is known or told.

Knows numbers, with their reasons; not what one site wants (`routing.customs`) nor how the
numbers are kept to (`routing.sites`).
"""

from __future__ import annotations

from attrs import frozen

from twisted_probe.smtp.limits import MAX_ERRORS, MAX_RECIPIENTS


@frozen
class Limits:
    """Ceilings: `sessions` at once in all. For each site and for each exchanger address (IPv6:
    each /64), over all sources: `per_site` sessions at once, `first_sessions` of them while
    nothing is known of the site, `starts_per_second` new ones, and rejected recipients: a burst
    of `rejections`, then `rejections_per_second`. And `errors_per_session` rejections and
    `recipients_per_session` RCPT commands (0: no limit) until a session ends by itself.
    `rest` seconds a site is left alone after it has complained; each further complaint doubles
    them."""

    sessions: int = 500
    # Few enough to be nobody's burden; Postfix grants one client 50
    # (smtpd_client_connection_count_limit).
    per_site: int = 4
    # Postfix begins with a quarter too (initial_destination_concurrency, 5 of 20).
    first_sessions: int = 1
    starts_per_second: float = 2.0
    # A directory harvest is told by its unknown users; filters count them by the minute.
    rejections: int = 200
    rejections_per_second: float = 5.0
    # Long enough for counters that count by the minute (Postfix anvil_rate_time_unit).
    rest: float = 60.0
    errors_per_session: int = MAX_ERRORS
    recipients_per_session: int = MAX_RECIPIENTS


DEFAULT_LIMITS = Limits()
