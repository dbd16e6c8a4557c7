"""sendmail. Knows its files and its commands."""

from __future__ import annotations

from .. import topology
from .part import Part, command, directory, file

LOG = "/var/log/sendmail.log"

_SMMSP = 110
_FIRST_USER = 1000


def sendmail() -> Part:
    """Its mailboxes are users of the system; its log has every line of its dialogues."""
    host = topology.SENDMAIL
    users = sorted({local for each in topology.SENDMAIL_DOMAINS for local in each.there.split()})
    domains = " ".join(each.name for each in topology.SENDMAIL_DOMAINS)
    return Part(
        package="sendmail-bin",
        log=LOG,
        users={
            "smmta": _SMMSP,
            "smmsp": _SMMSP + 1,
            "mail": _SMMSP + 2,
            **{name: _FIRST_USER + number for number, name in enumerate(users)},
        },
        directories=[
            directory("/var/spool/mqueue", 0o700),
            directory("/var/run/sendmail/mta"),
            directory("/var/lib/sendmail/host_status"),
        ],
        files=[
            file(
                "/etc/street/sendmail.mc",
                "divert(-1)",
                "define(`_USE_ETC_MAIL_')dnl",
                "include(`/usr/share/sendmail/cf/m4/cf.m4')dnl",
                "divert(0)dnl",
                "OSTYPE(`debian')dnl",
                "DOMAIN(`debian-mta')dnl",
                "undefine(`ALIAS_FILE')dnl",
                f"define(`confDOMAIN_NAME', `{host}')dnl",
                "define(`confCW_FILE', `')dnl",
                "FEATURE(`no_default_msa')dnl",
                f"DAEMON_OPTIONS(`Family=inet, Name=MTA, Port=25, Addr={topology.HOSTS[host]}')dnl",
                f"LOCAL_DOMAIN(`{domains}')dnl",
                "MAILER(`local')dnl",
                "MAILER(`smtp')dnl",
            ),
        ],
        prepare=[command(["/usr/bin/m4", "/etc/street/sendmail.mc"], "/etc/street/sendmail.cf")],
        argv=["/usr/libexec/sendmail/sendmail", "-C", "/etc/street/sendmail.cf", "-bD", "-X", LOG],
        listeners=[(topology.HOSTS[host], 25)],
    )
