"""OpenSMTPD of Debian 12, which announces STARTTLS and fails in every handshake. Knows its files
and its command."""

from __future__ import annotations

from .. import topology
from .certificates import Certificates, paths
from .part import ROOT, Part, directory, file

LOG = "/var/log/opensmtpd.log"

_SMTPD, _SMTPQ = 106, 107


def opensmtpd(certificates: Certificates) -> Part:
    """It says every line of its dialogues to its log."""
    host = topology.OPENSMTPD
    certificate, key = paths(host)
    domains = topology.OPENSMTPD_DOMAINS
    return Part(
        package="opensmtpd",
        log=LOG,
        logs_itself=False,
        users={"opensmtpd": _SMTPD, "opensmtpq": _SMTPQ, "_smtpd": 108, "_smtpq": 109},
        directories=[
            directory("/var/lib/opensmtpd/empty", 0o755),
            directory("/var/spool/smtpd", 0o711),
            directory("/var/run"),
            directory("/var/mail"),
        ],
        files=[
            *certificates.issue(host),
            file("/etc/mailname", host),
            file(
                "/etc/street/smtpd.conf",
                f'pki street cert "{certificate}"',
                f'pki street key "{key}"',
                "table domains { " + ", ".join(f'"{each.name}"' for each in domains) + " }",
                "table boxes { "
                + ", ".join(f'"{box}" = "nobody"' for each in domains for box in each.mailboxes)
                + " }",
                f"listen on {topology.HOSTS[host]} port 25 tls pki street hostname {host}",
                'action "deliver" maildir "/var/mail" virtual <boxes>',
                'match from any for domain <domains> action "deliver"',
            ),
        ],
        argv=["/usr/sbin/smtpd", "-d", "-T", "smtp", "-f", "/etc/street/smtpd.conf"],
        listeners=[(topology.HOSTS[host], 25)],
    )


__all__ = ["LOG", "ROOT", "opensmtpd"]
