"""The settings: each thing that a daemon can be told, with its kind, default, unit and reason.

Knows the one table that the file, the command line, `mailprobe config` and tap/mailprobe.toml
follow; not what was told (`daemon.config`).
"""

from __future__ import annotations

from ipaddress import ip_network
from typing import Any

from attrs import frozen

from twisted_probe.jobs.caching import DEFAULT_CACHING
from twisted_probe.jobs.deadline import JOB_DEADLINE
from twisted_probe.jobs.job_file import DEADLINE, REVERSE_PATH
from twisted_probe.jobs.purging import KEPT
from twisted_probe.routing.customs import TERMS
from twisted_probe.routing.name_servers import parse_resolver
from twisted_probe.routing.sites import DEFAULT_LIMITS
from twisted_probe.smtp.limits import DEFAULT_TIMEOUTS
from twisted_probe.smtp.tls import DEFAULT_TLS, TlsMode
from twisted_probe.verdict.ladder import GREYLIST_STEPS, TEMPORARY_STEPS
from twisted_probe.vocabulary.address import parse_address
from twisted_probe.vocabulary.exchanger import SMTP_PORT
from twisted_probe.vocabulary.kinds import Choice, Flag, Kind, ListOf, Number, Text, Whole
from twisted_probe.vocabulary.source import Source, helo_name_problem


class ConfigError(ValueError):
    """A setting that the daemon will not start with; the message names it and its value."""


@frozen(kw_only=True)
class Setting:
    """One thing that a daemon can be told.

    `key` is its key in `table` of the file ("" for none), `kind` what may be written there,
    `default` what holds where nothing is said (None: nothing), in `unit`, for that `reason`.
    `option` is its option of the command line. `is_live` says whether a running daemon changes it
    when it is told to read its configuration again.
    """

    table: str = ""
    key: str
    meaning: str
    kind: Kind
    default: Any = None
    unit: str
    reason: str
    option: str | None = None
    is_live: bool = True

    @property
    def name(self) -> str:
        """The key in full."""
        return f"{self.table}.{self.key}" if self.table else self.key


def path_text(text: str) -> str:
    """`text` when it names a file or a directory. Raises ValueError."""
    if not text or "\0" in text:
        raise ValueError("it is no name of a file")
    if text.startswith("~"):
        raise ValueError("~ is for shells; write the path in full")
    return text


def _helo(text: str) -> str:
    problem = helo_name_problem(text)
    if problem is not None:
        raise ValueError(problem)
    return text


def _address(text: str) -> str:
    return Source(text, helo="any.example.org").address


def _network(text: str) -> str:
    ip_network(text)
    return text


def _mailbox(text: str) -> str:
    return parse_address(text).text


def _word(text: str) -> str:
    if not text or not text.isprintable() or text != text.strip():
        raise ValueError("it is no name of a group")
    return text


def _exchanger(text: str) -> str:
    """A host name, or the end of one behind a full stop."""
    name = text.lower()
    problem = helo_name_problem(f"any{name}" if name.startswith(".") else name)
    if problem is not None:
        raise ValueError(problem)
    return name


#: How the log is written: lines for people, or a JSON object a line.
LOG_FORMATS = ("text", "json")

TLS_MODES = Choice(tuple(mode.value for mode in TlsMode))
HELO = Text("a fully qualified host name", _helo)

#: Shorter than this, no answer comes from another machine.
_LEAST = 0.1


def _seconds(most: float, why: str, least: float = _LEAST) -> Number:
    return Number("seconds", least, most, why_most=why)


#: No shorter than a retry ladder takes: what a recipient waits with rests on earlier attempts.
KEEP = Number("seconds", 86400, 10 * 365 * 86400, why_least="a day", why_most="ten years")

_STEPS = ListOf(_seconds(172800, "2 days; postgrey forgets a first attempt after that"), most=20)

SETTINGS: tuple[Setting, ...] = (
    Setting(
        key="spool",
        meaning="The spool directory; it is made if it is not there. A relative one is looked for "
        "beside this file.",
        kind=Text("the path of a directory", path_text),
        unit="path",
        reason="it holds your lists and their results, so nobody but you can choose it",
        option="--spool",
        is_live=False,
    ),
    Setting(
        key="spool_group",
        meaning="A group whose users may drop lists and read results.",
        kind=Text("the name of a group, or its number in quotes", _word),
        unit="name of a group",
        reason="lists are personal data; without a group only the daemon's own user reads them",
        option="--spool-group",
        is_live=False,
    ),
    Setting(
        key="reverse_path",
        meaning='Your address for MAIL FROM; "" is the null one.',
        kind=REVERSE_PATH,
        unit="e-mail address",
        reason="exchangers look whether it is real, and their operators write to it",
        option="--reverse-path",
    ),
    Setting(
        key="helo",
        meaning="The HELO name of sources without one of their own.",
        kind=HELO,
        unit="host name",
        reason="a source's name has to resolve to its address, so there is none that fits all",
        option="--helo",
    ),
    Setting(
        key="resolvers",
        meaning="The DNS resolvers to ask, in turn, as ADDRESS, ADDRESS:PORT or [ADDRESS]:PORT.",
        kind=ListOf(Text('"ADDRESS", "ADDRESS:PORT" or "[ADDRESS]:PORT"', parse_resolver), most=20),
        default=(),
        unit="addresses",
        reason="an empty list is this machine's own, from /etc/resolv.conf",
        option="--resolver",
    ),
    Setting(
        key="port",
        meaning="The exchangers' port.",
        kind=Whole(1, 65535),
        default=SMTP_PORT,
        unit="port number",
        reason="mail between hosts goes to port 25 (RFC 5321 section 4.5.4.2)",
        option="--port",
    ),
    Setting(
        key="allow_networks",
        meaning="Networks, in CIDR form, that may be dialled although they are not public.",
        kind=ListOf(Text("a network in CIDR form", _network)),
        default=(),
        unit="networks",
        reason="a stranger's DNS must not lead the daemon into your own network",
        option="--allow-network",
    ),
    Setting(
        key="control",
        meaning="Whether a random recipient of each domain is asked too, which shows domains that "
        "accept everybody.",
        kind=Flag(),
        default=True,
        unit="true or false",
        reason="without it catch_all goes unnoticed and a vague refusal cannot be judged",
    ),
    Setting(
        key="evidence",
        meaning="Whether the dialogue of each session is kept with the outcomes, for mailprobe "
        "explain and mailprobe reclassify.",
        kind=Flag(),
        default=True,
        unit="true or false",
        reason="it takes 15 to 600 bytes a recipient in the ledger, as sessions are large or "
        "small, and holds personal data as the lists do",
    ),
    Setting(
        key="deadline",
        meaning="How long a job may take; what is open then ends with what was last said of it.",
        kind=DEADLINE,
        default=JOB_DEADLINE,
        unit="seconds",
        reason="24 hours: long enough for all retries and a night's outage, short enough that a "
        "list dropped today is answered tomorrow",
    ),
    Setting(
        key="keep",
        meaning="How long jobs that are over, and what outcomes rest on, are kept in the ledger. "
        "Files in done/ and failed/ are yours, and stay.",
        kind=KEEP,
        default=KEPT,
        unit="seconds",
        reason="30 days: long enough to ask why, no longer than personal data has to be kept",
    ),
    Setting(
        key="defuse_formulas",
        meaning="Whether a CSV field that a spreadsheet would take for a formula gets an "
        "apostrophe before it.",
        kind=Flag(),
        default=False,
        unit="true or false",
        reason="it changes addresses such as +ann@example.org; set it where results are opened "
        "in a spreadsheet",
    ),
    Setting(
        key="flags",
        meaning="Whether results have the flags of each address: disposable, role account, free "
        "provider, and what was meant by a mistyped domain.",
        kind=Flag(),
        default=True,
        unit="true or false",
        reason="they ask nobody and change no verdict; where the lists of the extra `lists` are "
        "not installed, those that need them are null",
    ),
    Setting(
        key="rules",
        meaning="A file of your own rules for reading replies, in the form of the package's "
        "verdict/rules.toml; they come before the package's. A relative path is looked for beside "
        "this file.",
        kind=Text("the path of a file", path_text),
        unit="path",
        reason="the package's rules know the exchangers that are out there; yours know those "
        "that you have met",
    ),
    Setting(
        key="opt_out",
        meaning="A file of those who are never asked, one a line: an address, a domain, or, "
        "behind a full stop, a domain and all below it. A relative path is looked for beside this "
        "file.",
        kind=Text("the path of a file", path_text),
        unit="path",
        reason="whoever asks not to be probed has to be heard; their results say skipped",
    ),
    Setting(
        key="stop_file",
        meaning="A file that halts everything: as long as it is there every session is cut and "
        "nobody is asked; the recipients wait. A relative path is looked for beside this file.",
        kind=Text("the path of a file", path_text),
        unit="path",
        reason="a file can be made by anything, in a hurry and without this program",
    ),
    Setting(
        key="log_format",
        meaning="How the log is written: lines for people, or a JSON object a line.",
        kind=Choice(LOG_FORMATS),
        default="text",
        unit="text or json",
        reason="people read the log before any program does",
        option="--log-format",
        is_live=False,
    ),
    Setting(
        key="log_addresses",
        meaning="Whether e-mail addresses stand in the log; else they are masked.",
        kind=Flag(),
        default=False,
        unit="true or false",
        reason="logs are kept and passed on; addresses are personal data, and stand in the results",
        option="--log-addresses",
        is_live=False,
    ),
    Setting(
        table="source",
        key="address",
        meaning="An address of this machine to ask from.",
        kind=Text("an IPv4 or IPv6 address of this machine", _address),
        unit="address",
        reason="nothing is ever sent from an address that was not chosen",
        option="--source",
    ),
    Setting(
        table="source",
        key="helo",
        meaning="The name that this address says in EHLO.",
        kind=HELO,
        unit="host name",
        reason="exchangers look whether it resolves to the address, and the address to it; "
        "without it the common helo is said",
    ),
    Setting(
        table="source",
        key="port",
        meaning="The local port of its sessions; 0 lets the kernel choose.",
        kind=Whole(0, 65535),
        default=0,
        unit="port number",
        reason="a fixed one allows a single session for each exchanger at a time, and is only "
        "for firewalls that want one",
    ),
    Setting(
        table="source",
        key="weight",
        meaning="Its share of the sessions, beside those of the other sources.",
        kind=Whole(1, 1000),
        default=1,
        unit="parts",
        reason="a source with a better name, or a wider line, can take more of the work",
    ),
    Setting(
        table="source",
        key="ceiling",
        meaning="The sessions that it may have at once, over all sites.",
        kind=Whole(1, 20000),
        unit="sessions",
        reason="limits.sessions is enough for all of them, unless a new address is to be warmed up",
    ),
    Setting(
        table="timeouts",
        key="rfc",
        meaning="Whether what is not set below has the minimums of RFC 5321 section 4.5.3.2 "
        "(connect, greeting and command 300, session 3600) as its default.",
        kind=Flag(),
        default=False,
        unit="true or false",
        reason="who waits five minutes for every silent host asks fewer others; nobody loses "
        "mail when a probe gives up",
    ),
    Setting(
        table="timeouts",
        key="connect",
        meaning="How long a connection may take to stand.",
        kind=_seconds(600, "the kernel gives up before that by itself"),
        default=DEFAULT_TIMEOUTS.connect,
        unit="seconds",
        reason="as long as Postfix waits (smtp_connect_timeout)",
    ),
    Setting(
        table="timeouts",
        key="greeting",
        meaning="How long the whole 220 greeting may take.",
        kind=_seconds(3600, "an hour; RFC 5321 asks for five minutes"),
        default=DEFAULT_TIMEOUTS.greeting,
        unit="seconds",
        reason="longer than any tarpit that lets clients in at last (KumoMTA: banner_timeout)",
    ),
    Setting(
        table="timeouts",
        key="command",
        meaning="How long the whole reply to one command may take.",
        kind=_seconds(3600, "an hour; RFC 5321 asks for five minutes"),
        default=DEFAULT_TIMEOUTS.command,
        unit="seconds",
        reason="exchangers that verify a recipient elsewhere answer within 30 s (Exim: callout "
        "timeout)",
    ),
    Setting(
        table="timeouts",
        key="quit",
        meaning="How long the reply to QUIT is awaited before the connection is cut.",
        kind=_seconds(300, "five minutes; nothing is learned from it"),
        default=DEFAULT_TIMEOUTS.quit,
        unit="seconds",
        reason="it shows that the replies were in step; Postfix does not wait at all",
    ),
    Setting(
        table="timeouts",
        key="session",
        meaning="How long one session may last, from the connection on.",
        kind=_seconds(86400, "a day"),
        default=DEFAULT_TIMEOUTS.session,
        unit="seconds",
        reason="10 minutes: a slot is not held by an exchanger that answers a byte at a time",
    ),
    Setting(
        table="timeouts",
        key="recipient",
        meaning="What is added to session for every recipient asked.",
        kind=_seconds(600, "ten minutes for one recipient", least=0),
        default=DEFAULT_TIMEOUTS.recipient,
        unit="seconds",
        reason="an exchanger that delays each reply is waited out (Postfix delays by 1 s)",
    ),
    Setting(
        table="limits",
        key="sessions",
        meaning="Sessions at once, over all sites and sources.",
        kind=Whole(1, 20000, why_most="more were never measured; each needs a file descriptor"),
        default=DEFAULT_LIMITS.sessions,
        unit="sessions",
        reason="below the 1024 file descriptors that a service has unless told otherwise",
    ),
    Setting(
        table="limits",
        key="per_site",
        meaning="Sessions at once with one site, and with one exchanger address (IPv6: one /64), "
        "over all sources.",
        kind=Whole(1, 50, why_most="what Postfix grants one client"),
        default=DEFAULT_LIMITS.per_site,
        unit="sessions",
        reason="few enough to be nobody's burden; Postfix grants one client 50",
    ),
    Setting(
        table="limits",
        key="first_sessions",
        meaning="Sessions at once with a site of which nothing is known yet; each one that goes "
        "well allows one more, up to per_site.",
        kind=Whole(1, 50),
        default=DEFAULT_LIMITS.first_sessions,
        unit="sessions",
        reason="a small host is not met with all at once; Postfix begins with a quarter too "
        "(initial_destination_concurrency)",
    ),
    Setting(
        table="limits",
        key="rejections",
        meaning="Rejected recipients that one site, and one exchanger address, may have in a "
        "burst, over all sources.",
        kind=Whole(20, 100000, why_least="two sessions' worth"),
        default=DEFAULT_LIMITS.rejections,
        unit="rejections",
        reason="many unknown users in a row are how a harvest of addresses looks",
    ),
    Setting(
        table="limits",
        key="rejections_per_second",
        meaning="Rejected recipients a second behind that burst.",
        kind=Number("rejections a second", 0.01, 1000),
        default=DEFAULT_LIMITS.rejections_per_second,
        unit="rejections a second",
        reason="filters count unknown users by the minute and the hour",
    ),
    Setting(
        table="limits",
        key="rest",
        meaning="How long a site is left alone after it has complained of us (421, 4.7.x, words "
        "about pace); each further complaint doubles that, up to an hour.",
        kind=_seconds(3600, "an hour", least=0),
        default=DEFAULT_LIMITS.rest,
        unit="seconds",
        reason="exchangers count connections by the minute (Postfix: anvil_rate_time_unit)",
    ),
    Setting(
        table="limits",
        key="starts_per_second",
        meaning="New sessions a second with one site, and with one exchanger address, over all "
        "sources.",
        kind=Number("sessions a second", 0.001, 50, why_most="per_site is reached before that"),
        default=DEFAULT_LIMITS.starts_per_second,
        unit="sessions a second",
        reason="exchangers count connections by the minute, and block who comes too often",
    ),
    Setting(
        table="limits",
        key="errors_per_session",
        meaning="Rejected recipients after which a session ends by itself.",
        kind=Whole(
            2,
            20,
            why_least="one is kept for the random recipient",
            why_most="Postfix ends the session with the next one",
        ),
        default=DEFAULT_LIMITS.errors_per_session,
        unit="rejections",
        reason="Postfix slows every client down from the tenth on (smtpd_soft_error_limit)",
    ),
    Setting(
        table="limits",
        key="recipients_per_session",
        meaning="Recipients that one session asks about, the random one among them.",
        kind=Whole(
            2,
            1000,
            why_least="one is kept for the random recipient",
            why_most="what Postfix takes in one transaction",
        ),
        default=DEFAULT_LIMITS.recipients_per_session,
        unit="recipients",
        reason="every exchanger has to take 100 (RFC 5321 section 4.5.3.1.8)",
    ),
    Setting(
        table="retry",
        key="greylist",
        meaning="The waits before a greylisted recipient is asked again, one for each attempt; "
        "what is not answered then is unknown. An empty list never asks again.",
        kind=_STEPS,
        default=GREYLIST_STEPS,
        unit="seconds",
        reason="postgrey lets pass after 5 min, others after up to an hour",
    ),
    Setting(
        table="retry",
        key="temporary",
        meaning="The same after other trouble that may pass.",
        kind=_STEPS,
        default=TEMPORARY_STEPS,
        unit="seconds",
        reason="Postfix begins with 300 s and ends at 4000 s between two attempts",
    ),
    Setting(
        table="controls",
        key="second_control",
        meaning="Whether every session ends with a second look: at the random recipient, also "
        "where its answer is known, and at somebody who was accepted before a refusal. What an "
        "exchanger said that judges otherwise then is not believed, and asked again.",
        kind=Flag(),
        default=False,
        unit="true or false",
        reason="it costs one or two recipients more a session; where refusals are vague the second "
        "look is taken anyhow",
    ),
    Setting(
        table="controls",
        key="skip_catch_all",
        meaning="Whether nobody is asked any more whose domain is known to accept everybody; such "
        "addresses are risky, catch_all.",
        kind=Flag(),
        default=False,
        unit="true or false",
        reason="an exchanger that accepts a random recipient may still refuse some, for good",
    ),
    Setting(
        table="controls",
        key="known_good",
        meaning="Addresses that are known to be there. Where a domain of theirs refuses in vague "
        "words, one is asked at the end of the session: if it is accepted, the refusals are meant.",
        kind=ListOf(Text("an e-mail address", _mailbox), most=1000),
        default=(),
        unit="e-mail addresses",
        reason="where there is none, postmaster is asked, which every domain should have (RFC 5321 "
        "section 4.5.1), but only about words that name a mailbox: many exempt it from blocks",
    ),
    Setting(
        table="cache",
        key="enabled",
        meaning="Whether who was asked lately, for any job, is answered by what was learned then "
        "and not asked again, nor a domain's random recipient. A job that wants everybody asked "
        "says cache = false.",
        kind=Flag(),
        default=DEFAULT_CACHING.enabled,
        unit="true or false",
        reason="nobody is asked twice for nothing; results say what was known already (cached)",
    ),
    Setting(
        table="cache",
        key="deliverable",
        meaning="How long a deliverable address is known to be. In the last third of that time it "
        "is asked again, and stays what it was where nothing is learned.",
        kind=_seconds(2592000, "30 days; what was learned earlier is not true any more", least=0),
        default=DEFAULT_CACHING.deliverable,
        unit="seconds",
        reason="7 days: as long as Postfix believes it (address_verify_positive_refresh_time)",
    ),
    Setting(
        table="cache",
        key="undeliverable",
        meaning="How long an undeliverable address is known to be, where its exchanger has said "
        "so; what the DNS says is never kept here.",
        kind=_seconds(2592000, "30 days; what was learned earlier is not true any more", least=0),
        default=DEFAULT_CACHING.undeliverable,
        unit="seconds",
        reason="1 day: who gets a mailbox today is found tomorrow",
    ),
    Setting(
        table="tls",
        key="mode",
        meaning="Whether sessions are encrypted (STARTTLS): never; opportunistic, where it is "
        "offered and as far as it works; or required, which asks nobody without it, nor where the "
        "certificate does not verify.",
        kind=TLS_MODES,
        default=DEFAULT_TLS.mode.value,
        unit="one of three words",
        reason="addresses are personal data, and no mailbox is judged by its exchanger's "
        "certificate; results say what the certificate was worth",
    ),
    Setting(
        table="tls",
        key="ca_file",
        meaning="A file of the authorities to trust, in PEM. A relative path is looked for beside "
        "this file.",
        kind=Text("the path of a file", path_text),
        unit="path",
        reason="without it they are those that this machine trusts",
    ),
    Setting(
        table="tls",
        key="allow_old",
        meaning="Whether TLS 1.0 and 1.1 are taken too, and the ciphers of their time.",
        kind=Flag(),
        default=DEFAULT_TLS.allow_old,
        unit="true or false",
        reason="RFC 8996 retired them; results say where they were used",
    ),
    Setting(
        table="site",
        key="name",
        meaning="The exchangers that this is about: the name of one, or, behind a full stop, the "
        "end of their names.",
        kind=Text("a host name, or the end of one behind a full stop", _exchanger),
        unit="host name",
        reason="the longest name that fits an exchanger is the one that counts",
    ),
    Setting(
        table="site",
        key="tls",
        meaning="What tls.mode is there.",
        kind=TLS_MODES,
        unit="one of three words",
        reason="one exchanger's handshake may be broken, another's must not be missing",
    ),
    Setting(
        table="site",
        key="skip",
        meaning="Whether nobody is asked there; whoever would be is unknown, with the reason "
        "skipped.",
        kind=Flag(),
        unit="true or false",
        reason="some operators ask not to be probed, and some exchangers tell nothing",
    ),
    *(
        Setting(table="site", key=key, meaning=meaning, kind=TERMS[key], unit=unit, reason=reason)
        for key, meaning, unit, reason in (
            (
                "sessions",
                "Sessions at once, over all sources, in the place of limits.per_site.",
                "sessions",
                "some take more, and some less; the package's providers.toml knows the large ones",
            ),
            (
                "starts_per_second",
                "What limits.starts_per_second is there.",
                "sessions a second",
                "your own exchangers bear more than a stranger's",
            ),
            (
                "errors_per_session",
                "What limits.errors_per_session is there.",
                "rejections",
                "some hang up earlier than Postfix does",
            ),
            (
                "recipients_per_session",
                "What limits.recipients_per_session is there.",
                "recipients",
                "some close the connection after a few",
            ),
            (
                "recipients_per_transaction",
                "Recipients of one transaction; another one is begun for the next.",
                "recipients",
                "some answer 452 to more of them, which is learned too",
            ),
            (
                "one_domain",
                "Whether the recipients of a transaction have to be of one domain.",
                "true or false",
                "exchangers of many tenants refuse to mix them (451 4.4.4)",
            ),
        )
    ),
)

#: The settings by their names.
BY_NAME = {setting.name: setting for setting in SETTINGS}
#: The tables of the file, and those that may be there many times.
TABLES = ("timeouts", "limits", "retry", "controls", "cache", "tls")
SOURCE, SITE = "source", "site"
REPEATED = (SOURCE, SITE)


def kinds_of(table: str) -> dict[str, Kind]:
    """The kinds of the keys in one table of the file."""
    return {setting.key: setting.kind for setting in SETTINGS if setting.table == table}
