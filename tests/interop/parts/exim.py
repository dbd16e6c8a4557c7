"""Exim, with GnuTLS: one with four tempers, told apart by the address that was dialled, and one
that takes a single connection at a time. Knows their files and commands.

Exim does not log what it accepts before there is a message, so its access lists count commands.
"""

from __future__ import annotations

from .. import topology
from .certificates import Certificates, paths
from .part import Part, directory, file

LOG, SINGLE_LOG = "/var/log/exim4/street-main.log", "/var/log/exim4/single-main.log"

_EXIM = 105

#: Recipients in a transaction.
_MOST_RECIPIENTS = 10

_BEHIND = topology.HOSTS["plain.street.example"]
"""Whom the callout asks."""

#: Hosts with lines of their own in the access lists.
_OWN = ("slow", "castor", "pollux", "single", "hello")

_ACLS = """
begin acl

connect:
  accept condition = ${if inlist{$received_ip_address}{SLOW : CASTOR : POLLUX : SINGLE}}
         delay = 1s
  accept

helo:
  warn   logwrite = CONDUCT ehlo
  deny   condition = ${if eq{$received_ip_address}{HELLO}}
         message = HELO/EHLO with $sender_helo_name refused
  accept

starttls:
  warn   logwrite = CONDUCT starttls
  accept

mail:
  warn   logwrite = CONDUCT mail
  accept

rcpt:
  warn   logwrite = CONDUCT rcpt
  warn   condition = ${if inlist{$received_ip_address}{SLOW : CASTOR : POLLUX}}
         delay = 1s
  require message = relay not permitted
         domains = +served
  deny   domains = callback.example : forgingexim.example
         !verify = sender/callout=10s
  deny   domains = callout.example : nobodybehind.example
         !verify = recipient/callout=10s
  require verify = recipient
  accept

forbidden:
  warn   logwrite = CONDUCT forbidden
  deny

quit:
  warn   logwrite = CONDUCT quit
  accept

notquit:
  warn   logwrite = CONDUCT $smtp_notquit_reason
  accept
"""

_ROUTERS = f"""
begin routers

deferred:
  driver = redirect
  domains = deferred.example
  allow_defer
  data = :defer: the mailbox server is away

callout:
  driver = manualroute
  domains = callout.example : prober.example
  route_data = {_BEHIND}
  transport = smtp

nobodybehind:
  driver = manualroute
  domains = nobodybehind.example
  route_data = {topology.HOSTS[topology.DEAD]}
  transport = smtp

boxes:
  driver = accept
  condition = ${{lookup{{$local_part@$domain}}lsearch{{/etc/exim4/boxes}}{{yes}}{{no}}}}
  transport = nowhere

begin transports

smtp:
  driver = smtp
  interface = {topology.EXIM["exim.street.example"]}

nowhere:
  driver = appendfile
  file = /dev/null
  user = Debian-exim
"""


def exim(certificates: Certificates) -> Part:
    """All but one."""
    host = "exim.street.example"
    certificate, key = paths(host)
    hosts = [name for name in topology.EXIM if name != "single.street.example"]
    return Part(
        package="exim4-daemon-light",
        log=LOG,
        users={"Debian-exim": _EXIM},
        directories=[
            directory("/var/spool/exim4", 0o750, _EXIM, _EXIM),
            directory("/var/log/exim4", 0o755, _EXIM, _EXIM),
        ],
        files=[
            *certificates.issue(host, uid=_EXIM),
            file(
                "/etc/exim4/boxes",
                *(f"{box}: here" for domain in topology.EXIM_DOMAINS for box in domain.mailboxes),
            ),
            file(
                "/etc/exim4/street.conf",
                *_main("street", host, hosts),
                "tls_advertise_hosts = *",
                f"tls_certificate = {certificate}",
                f"tls_privatekey = {key}",
                f"recipients_max = {_MOST_RECIPIENTS}",
                _ACLS,
                _ROUTERS,
            ),
        ],
        argv=_command("street"),
        listeners=[(topology.EXIM[name], 25) for name in hosts],
    )


def single() -> Part:
    """The one that wants no two connections at once, and greets late."""
    host = "single.street.example"
    return Part(
        package="exim4-daemon-light",
        log=SINGLE_LOG,
        directories=[directory("/var/spool/exim4-single", 0o750, _EXIM, _EXIM)],
        files=[
            file(
                "/etc/exim4/single.conf",
                *_main("single", host, [host]),
                "spool_directory = /var/spool/exim4-single",
                "tls_advertise_hosts =",
                "smtp_accept_max = 1",
                _ACLS,
                _ROUTERS,
            )
        ],
        argv=_command("single"),
        listeners=[(topology.EXIM[host], 25)],
    )


def _main(name: str, host: str, hosts: list[str]) -> list[str]:
    served = [
        domain.name
        for domain in topology.EXIM_DOMAINS
        if not topology.MX[domain.name].keys().isdisjoint(hosts)
    ]
    macros = [f"{each.upper()} = {topology.EXIM[f'{each}.street.example']}" for each in _OWN]
    return [
        *macros,
        "CONDUCT = :main: conduct [$sender_host_address]:$sender_host_port"
        " I=[$received_ip_address]",
        f"primary_hostname = {host}",
        f"local_interfaces = {' : '.join(topology.EXIM[each] for each in hosts)}",
        "daemon_smtp_ports = 25",
        "keep_environment =",
        f"log_file_path = /var/log/exim4/{name}-%s.log",
        "log_selector = +smtp_connection +incoming_port +incoming_interface +smtp_protocol_error"
        " +smtp_syntax_error +pid",
        f"domainlist served = {' : '.join(served)}",
        "host_lookup = *",  # as Debian has it
        "pipelining_connect_advertise_hosts =",  # who talks before the greeting is told off
        "acl_smtp_connect = connect",
        "acl_smtp_helo = helo",
        "acl_smtp_starttls = starttls",
        "acl_smtp_mail = mail",
        "acl_smtp_rcpt = rcpt",
        "acl_smtp_predata = forbidden",
        "acl_smtp_vrfy = forbidden",
        "acl_smtp_expn = forbidden",
        "acl_smtp_etrn = forbidden",
        "acl_smtp_quit = quit",
        "acl_smtp_notquit = notquit",
    ]


def _command(name: str) -> list[str]:
    return [
        *("/usr/sbin/exim4", "-bdf", "-C", f"/etc/exim4/{name}.conf"),
        *("-oP", f"/var/spool/exim4/{name}.pid"),
    ]
