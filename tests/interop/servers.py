"""How the real servers are set up: nsd and Postfix configured from the topology's data.

Knows their files, users and commands; not what they stand for (`topology`), nor how they are
started (`anchor`). What no line here says is at the default that Postfix ships with.
"""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path

from . import topology
from .anchor import Directory, Plan

POSTFIX_LOG = "/var/log/postfix.log"
NSD_LOG = "/var/log/nsd.log"

_ROOT, _POSTFIX, _POSTDROP, _NSD, _NOBODY = 0, 101, 102, 103, 65534

_QUEUE = "/var/spool/postfix"
_PRIVATE_QUEUES = (
    *("active", "bounce", "corrupt", "defer", "deferred", "flush"),
    *("hold", "incoming", "private", "saved", "trace"),
)
_CERTIFICATE, _KEY = "/etc/postfix/certificate.pem", "/etc/postfix/key.pem"


def plan(lower: Path, scratch: Path) -> Plan:
    """All that the street's first process has to do."""
    return Plan(
        lower=str(lower),
        scratch=str(scratch),
        hostname=topology.EXCHANGER,
        directories=_directories(),
        files=_system_files() | _nsd_files() | _postfix_files(),
        prepare=[
            ["/usr/sbin/nsd-checkzone", ".", "/etc/nsd/root.zone"],
            _certificate_command(),
            ["/usr/sbin/postsuper"],  # reads the configuration as master does, and complains aloud
        ],
        servers=[
            ["/usr/sbin/nsd", "-d", "-c", "/etc/nsd/nsd.conf"],
            ["/usr/lib/postfix/sbin/master"],
        ],
        listeners=[
            (topology.RESOLVER, 53),
            (topology.HOSTS[topology.EXCHANGER], 25),
            (topology.HOSTS[topology.BACKUP], 25),
        ],
        logs=[NSD_LOG, POSTFIX_LOG],
    )


def zone() -> str:
    """The root zone, and with it all of the DNS: what does not stand here does not exist."""
    records = [
        "$TTL 60",
        ". SOA ns.street.example. hostmaster.street.example. 1 3600 900 86400 60",
        ". NS ns.street.example.",
    ]
    for name, address in topology.HOSTS.items():
        records.append(f"{name}. A {address}")
        records.append(f"{ip_address(address).reverse_pointer}. PTR {name}.")
    for domain, exchangers in topology.MX.items():
        for exchanger, preference in exchangers.items():
            records.append(f"{domain}. MX {preference} {exchanger.rstrip('.')}.")
    records += [f"{domain}. A {address}" for domain, address in topology.ADDRESSED.items()]
    records += [f'{domain}. TXT "no mail, no web"' for domain in topology.BARE]
    return _lines(*records)


def _directories() -> list[Directory]:
    return [
        Directory(path="/tmp", mode=0o1777, uid=_ROOT, gid=_ROOT),
        Directory(path="/var/log", mode=0o755, uid=_ROOT, gid=_ROOT),
        Directory(path="/var/lib/nsd", mode=0o750, uid=_NSD, gid=_NSD),
        Directory(path="/var/lib/postfix", mode=0o700, uid=_POSTFIX, gid=_POSTFIX),
        Directory(path=f"{_QUEUE}/pid", mode=0o755, uid=_ROOT, gid=_ROOT),
        Directory(path=f"{_QUEUE}/public", mode=0o2710, uid=_POSTFIX, gid=_POSTDROP),
        Directory(path=f"{_QUEUE}/maildrop", mode=0o1730, uid=_POSTFIX, gid=_POSTDROP),
        *(
            Directory(path=f"{_QUEUE}/{name}", mode=0o700, uid=_POSTFIX, gid=_ROOT)
            for name in _PRIVATE_QUEUES
        ),
    ]


def _system_files() -> dict[str, str]:
    return {
        "/etc/passwd": _lines(
            f"root:x:{_ROOT}:{_ROOT}::/:/bin/false",
            f"postfix:x:{_POSTFIX}:{_POSTFIX}::/:/bin/false",
            f"nsd:x:{_NSD}:{_NSD}::/:/bin/false",
            f"nobody:x:{_NOBODY}:{_NOBODY}::/:/bin/false",  # Postfix's default_privs
        ),
        "/etc/group": _lines(
            f"root:x:{_ROOT}:",
            f"postfix:x:{_POSTFIX}:",
            f"postdrop:x:{_POSTDROP}:",
            f"nsd:x:{_NSD}:",
            f"nogroup:x:{_NOBODY}:",
        ),
        "/etc/nsswitch.conf": _lines("passwd: files", "group: files", "hosts: dns"),
        "/etc/resolv.conf": _lines(f"nameserver {topology.RESOLVER}"),
    }


def _nsd_files() -> dict[str, str]:
    return {
        "/etc/nsd/nsd.conf": _lines(
            "server:",
            f"  ip-address: {topology.RESOLVER}",
            "  username: nsd",
            f'  logfile: "{NSD_LOG}"',
            '  database: ""',
            '  pidfile: ""',
            "  rrl-ratelimit: 0",  # all questions come from one address here
            "remote-control:",
            "  control-enable: no",
            "zone:",
            '  name: "."',
            "  zonefile: /etc/nsd/root.zone",
        ),
        "/etc/nsd/root.zone": zone(),
    }


def _postfix_files() -> dict[str, str]:
    domains = sorted({box.rpartition("@")[2] for box in topology.MAILBOXES})
    return {
        "/etc/postfix/main.cf": _lines(
            # What Debian's package sets.
            "compatibility_level = 3.6",
            "smtpd_banner = $myhostname ESMTP $mail_name (Debian/GNU)",
            "recipient_delimiter = +",
            f"smtpd_tls_cert_file = {_CERTIFICATE}",
            f"smtpd_tls_key_file = {_KEY}",
            "smtpd_tls_security_level = may",
            # Whom it serves; nobody may relay, 127.0.0.0/8 included.
            f"myhostname = {topology.EXCHANGER}",
            "mydestination =",
            "mynetworks =",
            "alias_maps =",
            "local_recipient_maps =",
            f"virtual_mailbox_domains = {', '.join(domains)}",
            "virtual_mailbox_maps = texthash:/etc/postfix/mailboxes",
            # What it asks of a client, as many do: a full set of names that exist.
            "smtpd_helo_required = yes",
            "smtpd_client_restrictions = reject_unknown_client_hostname",
            "smtpd_helo_restrictions = reject_non_fqdn_helo_hostname, reject_unknown_helo_hostname",
            "smtpd_sender_restrictions = reject_non_fqdn_sender, reject_unknown_sender_domain",
            "smtpd_recipient_restrictions = check_recipient_access texthash:/etc/postfix/refusals",
            # Where it stands.
            "inet_protocols = ipv4",
            f"maillog_file = {POSTFIX_LOG}",
            "smtpd_tls_loglevel = 1",
        ),
        "/etc/postfix/master.cf": _master(),
        "/etc/postfix/mailboxes": _table(dict.fromkeys(topology.MAILBOXES, "here")),
        "/etc/postfix/refusals": _table(topology.REFUSALS),
    }


def _master() -> str:
    """The services that take mail in. There is none that sends any."""
    return _lines(
        f"{topology.HOSTS[topology.EXCHANGER]}:25 inet n - n - - smtpd",
        f"{topology.HOSTS[topology.BACKUP]}:25 inet n - n - - smtpd"
        f" -o myhostname={topology.BACKUP} -o smtpd_tls_security_level=none",
        "pickup unix n - n 60 1 pickup",
        "cleanup unix n - n - 0 cleanup",
        "qmgr unix n - n 300 1 qmgr",
        "tlsmgr unix - - n 1000? 1 tlsmgr",
        "rewrite unix - - n - - trivial-rewrite",
        "bounce unix - - n - 0 bounce",
        "defer unix - - n - 0 bounce",
        "trace unix - - n - 0 bounce",
        "retry unix - - n - - error",
        "error unix - - n - - error",
        "virtual unix - n n - - virtual",
        "anvil unix - - n - 1 anvil",
        "postlog unix-dgram n - n - 1 postlogd",
    )


def _certificate_command() -> list[str]:
    """Self-signed, as ssl-cert would make one, only quicker."""
    return [
        *("/usr/bin/openssl", "req", "-x509", "-nodes", "-subj", f"/CN={topology.EXCHANGER}"),
        *("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1"),
        *("-out", _CERTIFICATE, "-keyout", _KEY),
    ]


def _table(rows: dict[str, str]) -> str:
    return _lines(*(f"{key} {value}" for key, value in rows.items()))


def _lines(*lines: str) -> str:
    return "".join(f"{line}\n" for line in lines)
