"""Every limit of one session: its unit, the reason for it, and who has one like it.

Knows numbers only.
"""

from __future__ import annotations

from attrs import frozen

# --- What a stranger may send --------------------------------------------------------------

#: Octets of one line; RFC 5321 section 4.5.3.1.5 allows 512, aiosmtplib takes 8192.
MAX_LINE = 8192
#: Octets kept of one line; Postfix keeps 2048 (line_length_limit). The rest is cut, not failed.
KEPT_LINE = 2048
#: Octets of one reply with all of its lines; aiosmtplib has the same.
MAX_REPLY = 32768
#: Lines of one reply; EHLO replies have some thirty, rejections of Exim's callouts some ten.
MAX_REPLY_LINES = 128
#: Octets that an exchanger may send in one session before anybody is asked, and for each
#: recipient that is asked: 264 KiB for a hundred, of which honest ones use some 10.
MAX_SESSION = 64 * 1024
MAX_ANSWER = 2048

# --- What is kept of it: less than 64 KiB for each connection ----------------------------------
# 8 KiB of an unfinished line, 16 of an unfinished reply, 4 of keywords, 16 for a hundred replies
# and 16 more for those of them that are long.

#: Octets that a line costs beside its text, so that many short ones are not for free.
LINE_COST = 16
#: Octets of the reply that is being read, of which EHLO's keywords are taken.
KEPT_UNFINISHED = 16 * 1024
#: Octets of keywords and their parameters; Exchange's twenty have some 300.
KEPT_KEYWORDS = 4096
#: Octets of one reply that was read: as many as of its text are printed (vocabulary.escaping).
KEPT_REPLY = 2048
#: Octets that every reply may have, and that a session has beyond these: nine long rejections
#: (`MAX_ERRORS`) are kept whole.
KEPT_LEAST = 160
KEPT_SPARE = 16 * 1024

# --- What we may send ----------------------------------------------------------------------

#: Octets of commands that may be on their way unanswered: below every TCP window, so that
#: neither side can wait for the other's full buffer (RFC 2920 section 3.1).
MAX_OUTSTANDING = 4096
#: Recipients of one session, the old class's ceiling; RFC 5321 section 4.5.3.1.8 makes
#: exchangers take at least 100.
MAX_RECIPIENTS = 100
#: Rejections of one session; Postfix slows down every client from the tenth error on
#: (smtpd_soft_error_limit).
MAX_ERRORS = 9
#: RSETs of one session; Exim refuses the twelfth (smtp_accept_max_nonmail).
MAX_RESETS = 10

# --- What a wait shows, in seconds -------------------------------------------------------------

#: A reply to RCPT that comes at once, and one that is held back: Postfix sleeps a second from
#: the tenth error on (smtpd_error_sleep_time), sendmail behind a BadRcptThrottle.
QUICK = 0.2
SLOW = 0.9
#: Replies that have to be held back one after the other: one may be the network's doing.
SLOW_IN_A_ROW = 3


@frozen
class Timeouts:
    """How long one session waits, in seconds. No byte from the peer moves a deadline.

    `connect` until the connection stands, `greeting` for the whole 220 reply, `command` for the
    whole reply to one command, `quit` for the reply to QUIT, `session` for all of it;
    `recipient` is added to `session` for every recipient asked, so that an exchanger which
    delays each reply is waited out.
    """

    connect: float = 30.0  # Postfix smtp_connect_timeout
    greeting: float = 60.0  # KumoMTA banner_timeout; RFC 5321 section 4.5.3.2.1 has 5 minutes
    command: float = 60.0  # RFC 5321 section 4.5.3.2.2 and .3 have 5 minutes
    quit: float = 2.0  # Postfix does not wait at all (smtp_skip_quit_response)
    session: float = 600.0
    recipient: float = 2.0  # Postfix delays a reply by 1 s (smtpd_error_sleep_time)

    @classmethod
    def flat(cls, seconds: float) -> Timeouts:
        """The old class's form: one number for connecting and for every step."""
        return cls(connect=seconds, greeting=seconds, command=seconds)

    @classmethod
    def rfc(cls) -> Timeouts:
        """The minimums of RFC 5321 section 4.5.3.2."""
        return cls(connect=300.0, greeting=300.0, command=300.0, session=3600.0)


#: What a session waits unless told otherwise.
DEFAULT_TIMEOUTS = Timeouts()
