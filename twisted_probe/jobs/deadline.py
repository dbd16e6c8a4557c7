"""The end of a job: what is said of a recipient that is still open when the deadline comes, or
when the job is cancelled.

Knows which outcomes may end as they stand; not when the deadline is (the ledger keeps it).
"""

from __future__ import annotations

from attrs import evolve

from twisted_probe.vocabulary.outcome import Outcome, Reason, Verdict

#: Seconds that a job has: long enough for the whole greylist ladder and a night's outage, short
#: enough that a list dropped today is answered tomorrow.
JOB_DEADLINE = 86400.0

NEVER_ASKED = "the job's deadline came before it could be asked"
CANCELLED = "the job was cancelled before it could be asked"


def at_deadline(
    last: Outcome | None, address: str, now: float, never_asked: str = NEVER_ASKED
) -> Outcome:
    """The final outcome of a recipient whose `last` outcome, if it has one, was not final; one
    without is temporary, in the words of `never_asked`.

    An unknown keeps its reason. Accepted while the control was undecided is unconfirmed. A
    refusal that was still doubted never becomes a dead address: it ends as temporary.
    """
    if last is None:
        return Outcome(address=address, reason=Reason.TEMPORARY, text=never_asked, checked_at=now)
    reason = last.reason
    if reason.verdict is Verdict.DELIVERABLE:
        reason = Reason.UNCONFIRMED
    elif reason.verdict is Verdict.UNDELIVERABLE:
        reason = Reason.TEMPORARY
    return evolve(last, reason=reason, final=True, next_attempt_at=None, retry=None)
