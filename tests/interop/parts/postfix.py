"""Postfix: one of it, with an entry of master.cf for each temper, and postgrey beside it.

Knows its files and its processes; what no line here says is at the default that it ships with.
"""

from __future__ import annotations

from collections.abc import Iterable

from .. import topology
from ..anchor import File
from .certificates import Certificates, paths, self_signed
from .part import NOBODY, ROOT, Part, command, directory, file

LOG, POSTGREY_LOG = "/var/log/postfix.log", "/var/log/postgrey.log"

#: Seconds until postgrey lets a triplet pass.
GREY = 2

_POSTFIX, _POSTDROP, _POSTGREY = 101, 102, 104
_POSTGREY_PORT = 10023

_QUEUE = "/var/spool/postfix"
_PRIVATE_QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush"),
    *("hold", "incoming", "private", "saved", "trace"),
)

_TEMPERS: dict[str, dict[str, str]] = {
    # A full set of names that exist is what many ask of a client.
    topology.EXCHANGER: {
        "smtpd_tls_security_level": "may",
        "smtpd_helo_required": "yes",
        "smtpd_client_restrictions": "reject_unknown_client_hostname",
        "smtpd_helo_restrictions": "reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname",
        "smtpd_sender_restrictions": "reject_non_fqdn_sender, reject_unknown_sender_domain",
        "smtpd_recipient_restrictions": "check_recipient_access texthash:/etc/postfix/refusals",
    },
    topology.BACKUP: {},
    "plain.street.example": {},
    "strict.street.example": {
        "smtpd_delay_reject": "no",
        "smtpd_helo_required": "yes",
        "strict_rfc821_envelopes": "yes",
        "disable_vrfy_command": "yes",
        "smtpd_client_restrictions": (
            f"reject_unauth_pipelining, reject_rbl_client {topology.BLOCK_LIST}"
        ),
        "smtpd_helo_restrictions": (
            "reject_invalid_helo_hostname, reject_non_fqdn_helo_hostname,"
            " reject_unknown_helo_hostname"
        ),
        "smtpd_sender_restrictions": "reject_non_fqdn_sender, reject_unknown_sender_domain",
        "smtpd_recipient_restrictions": (
            "reject_non_fqdn_recipient, reject_unknown_recipient_domain,"
            " reject_unlisted_recipient, reject_unauth_pipelining"
        ),
    },
    **{
        name: {"smtpd_tls_security_level": "may"}
        for name in (
            *("good.street.example", "wrong.street.example"),
            *("expired.street.example", "selfsigned.street.example"),
        )
    },
    "tlsonly.street.example": {"smtpd_tls_security_level": "encrypt"},
    "verify.street.example": {"smtpd_recipient_restrictions": "reject_unverified_recipient"},
    "sure.street.example": {
        "smtpd_recipient_restrictions": "reject_unverified_recipient",
        "unverified_recipient_reject_code": "550",
    },
    "stress.street.example": {"stress": "yes"},
    "few.street.example": {"smtpd_recipient_limit": "5"},
    "rate.street.example": {"smtpd_client_connection_rate_limit": "1"},
    "helo.street.example": {
        "smtpd_helo_restrictions": "check_helo_access texthash:/etc/postfix/helos"
    },
    "nosender.street.example": {
        "smtpd_sender_restrictions": "check_sender_access texthash:/etc/postfix/senders"
    },
    "ascii.street.example": {"smtputf8_enable": "no"},
    "grey.street.example": {
        "smtpd_recipient_restrictions": (f"check_policy_service inet:127.0.0.1:{_POSTGREY_PORT}")
    },
    "norelay.street.example": {"smtpd_relay_restrictions": "reject_unauth_destination"},
    "sender.street.example": {
        "smtpd_sender_restrictions": "reject_unverified_sender",
        "unverified_sender_reject_code": "550",
    },
    "crowd.street.example": {"smtpd_client_recipient_rate_limit": "5"},
    "gate.street.example": {"smtpd_reject_unlisted_recipient": "no"},
    "later.street.example": {"smtpd_recipient_restrictions": "defer"},
    # The example of postconf(5): the client's own address behind every refusal.
    "footer.street.example": {
        "smtpd_reject_footer": (
            "\\c. For assistance, call 800-555-0101. Please provide the following information in"
            " your problem report: time ($localtime), client ($client_address) and server"
            " ($server_name)."
        )
    },
}

_POSTSCREENS: dict[str, dict[str, str]] = {
    "deep.street.example": {
        "postscreen_pipelining_enable": "yes",
        "postscreen_pipelining_action": "enforce",
        "postscreen_non_smtp_command_enable": "yes",
        "postscreen_non_smtp_command_action": "enforce",
        "postscreen_bare_newline_enable": "yes",
        "postscreen_bare_newline_action": "enforce",
    },
    "listed.street.example": {
        "postscreen_dnsbl_sites": topology.BLOCK_LIST,
        "postscreen_dnsbl_action": "enforce",
    },
}
#: For all of them. Six seconds by default.
_POSTSCREEN = {"postscreen_greet_wait": "2s", "postscreen_greet_action": "enforce"}

_RATE_UNIT = "5s"  # one minute by default


def postfix(certificates: Certificates) -> Part:
    """All tempers."""
    boxes = [
        *topology.MAILBOXES,
        *(box for domain in topology.POSTFIX_DOMAINS for box in domain.mailboxes),
        *(
            box
            for domain in topology.EXIM_DOMAINS
            if domain.name == topology.BEHIND
            for box in domain.mailboxes
        ),
    ]
    own = topology.EXCHANGER
    return Part(
        package="postfix",
        log=LOG,
        users={"postfix": _POSTFIX, "postdrop": _POSTDROP},
        directories=[
            directory("/var/lib/postfix", 0o700, _POSTFIX, _POSTFIX),
            directory(f"{_QUEUE}/pid"),
            directory(f"{_QUEUE}/public", 0o2710, _POSTFIX, _POSTDROP),
            directory(f"{_QUEUE}/maildrop", 0o1730, _POSTFIX, _POSTDROP),
            *(directory(f"{_QUEUE}/{name}", 0o700, _POSTFIX, ROOT) for name in _PRIVATE_QUEUES),
        ],
        files=[
            *certificates.issue("good.street.example"),
            *certificates.issue("wrong.street.example", "right.street.example"),
            *certificates.issue("expired.street.example", is_expired=True),
            *certificates.issue("tlsonly.street.example"),
            file(
                "/etc/postfix/main.cf",
                # What Debian's package sets.
                "compatibility_level = 3.6",
                "smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)",
                "recipient_delimiter = +",
                # Whom it serves; nobody may relay, 127.0.0.0/8 included.
                f"myhostname = {own}",
                "mydestination =",
                "mynetworks =",
                "alias_maps =",
                "local_recipient_maps =",
                f"virtual_mailbox_domains = {', '.join(_domains(boxes))}",
                "virtual_mailbox_maps = texthash:/etc/postfix/mailboxes",
                "virtual_mailbox_base = /var/mail",
                f"virtual_uid_maps = static:{NOBODY}",
                f"virtual_gid_maps = static:{NOBODY}",
                # Where it stands.
                "inet_protocols = all",
                f"maillog_file = {LOG}",
                "smtpd_tls_loglevel = 1",
                "relocated_maps = texthash:/etc/postfix/moved",
            ),
            file("/etc/postfix/master.cf", *_master()),
            _table("/etc/postfix/mailboxes", dict.fromkeys(boxes, "here")),
            _table("/etc/postfix/refusals", topology.REFUSALS),
            _table("/etc/postfix/moved", topology.MOVED),
            _table(
                "/etc/postfix/helos",
                dict.fromkeys(topology.ALL_SOURCES.values(), "550 5.7.1 You are not welcome"),
            ),
            _table("/etc/postfix/senders", {topology.REVERSE_PATH: "REJECT"}),
        ],
        prepare=[
            self_signed(own),
            self_signed("selfsigned.street.example", has_name=True),
            command(
                ["/usr/sbin/postsuper"]
            ),  # reads the configuration as master does, and complains aloud
        ],
        argv=["/usr/lib/postfix/sbin/master"],
        listeners=[
            *((address, 25) for address in topology.POSTFIX.values()),
            (topology.HOSTS_SIX[topology.SIX], 25),
        ],
    )


def postgrey() -> Part:
    """Greylisting for the one temper that asks it."""
    return Part(
        package="postgrey",
        log=POSTGREY_LOG,
        logs_itself=False,
        users={"postgrey": _POSTGREY},
        directories=[directory("/var/lib/postgrey", 0o700, _POSTGREY, _POSTGREY)],
        argv=[
            *("/usr/sbin/postgrey", f"--inet=127.0.0.1:{_POSTGREY_PORT}", f"--delay={GREY}"),
            *("--user=postgrey", "--group=postgrey"),
        ],
        listeners=[("127.0.0.1", _POSTGREY_PORT)],
    )


def _domains(boxes: Iterable[str]) -> list[str]:
    return sorted({box.rpartition("@")[2] for box in boxes})


def _master() -> list[str]:
    """The services that take mail in. There is none that sends any."""
    entries = []
    for name, settings in _TEMPERS.items():
        services = [f"{topology.POSTFIX[name]}:25"]
        if name in topology.HOSTS_SIX:
            services.append(f"[{topology.HOSTS_SIX[name]}]:25")
        entries += [
            _entry(f"{service} inet n - n - - smtpd", name, settings) for service in services
        ]
    for name, settings in _POSTSCREENS.items():
        label = name.partition(".")[0]
        behind = f"smtpd-{label}"
        settings = {
            **_POSTSCREEN,
            **settings,
            "smtpd_service_name": behind,
            "postscreen_cache_map": f"btree:$data_directory/{label}_cache",
        }
        address = topology.POSTFIX[name]
        entries.append(_entry(f"{address}:25 inet n - n - 1 postscreen", name, settings))
        entries.append(_entry(f"{behind} pass - - n - - smtpd", name, {}))
    return [
        *entries,
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "verify unix - - n - 1 verify",
        "retry unix - - n - - error",
        "error unix - - n - - error",
        "virtual unix - n n - - virtual",
        "dnsblog unix - - n - 0 dnsblog",
        "tlsproxy unix - - n - 0 tlsproxy",
        f"anvil unix - - n - 1 anvil -o anvil_rate_time_unit={_RATE_UNIT}",
        "postlog unix-dgram n - n - 1 postlogd",
    ]


def _entry(service: str, name: str, settings: dict[str, str]) -> str:
    """An entry whose words in the log begin with the host's name."""
    certificate, key = paths(name)
    identity = {"myhostname": name, "syslog_name": f"postfix/{name.partition('.')[0]}"}
    if "smtpd_tls_security_level" in settings:
        identity |= {"smtpd_tls_cert_file": certificate, "smtpd_tls_key_file": key}
    options = [f"-o {{ {key} = {value} }}" for key, value in {**identity, **settings}.items()]
    return " ".join([service, *options])


def _table(path: str, rows: dict[str, str]) -> File:
    return file(path, *(f"{key} {value}" for key, value in rows.items()))
