"""The street's DNS: nsd, who knows all names, and dnsdist before it, who answers oddly for some.

Knows their files and commands; which names there are is the topology's.
"""

from __future__ import annotations

from ipaddress import ip_address

from .. import topology
from .part import Part, command, directory, file

NSD_LOG, DNSDIST_LOG = "/var/log/nsd.log", "/var/log/dnsdist.log"

_NSD = 103

#: Milliseconds. The daemon asks again after two seconds, and a third time four seconds later.
_SLOW = 2500

_ACTIONS = {
    "SERVFAIL": "RCodeAction(DNSRCode.SERVFAIL)",
    "REFUSED": "RCodeAction(DNSRCode.REFUSED)",
    "slow": f"DelayAction({_SLOW})",
    "dropped": "DropAction()",
}


def nsd() -> Part:
    """The authority."""
    return Part(
        package="nsd",
        log=NSD_LOG,
        users={"nsd": _NSD},
        directories=[directory("/var/lib/nsd", 0o750, _NSD, _NSD)],
        files=[
            file(
                "/etc/nsd/nsd.conf",
                "server:",
                f"  ip-address: {topology.AUTHORITY}",
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
            file("/etc/nsd/root.zone", *zone()),
        ],
        prepare=[command(["/usr/sbin/nsd-checkzone", ".", "/etc/nsd/root.zone"])],
        argv=["/usr/sbin/nsd", "-d", "-c", "/etc/nsd/nsd.conf"],
        listeners=[(topology.AUTHORITY, 53)],
    )


def dnsdist() -> Part:
    """Whom everybody asks."""
    odd = [
        f'addAction("{domain}.", {_ACTIONS[temper]})'
        for domain, temper in topology.ODD_ANSWERS.items()
    ]
    return Part(
        package="dnsdist",
        log=DNSDIST_LOG,
        logs_itself=False,
        files=[
            file(
                "/etc/dnsdist/street.conf",
                f'setLocal("{topology.RESOLVER}:53")',
                'setACL("127.0.0.0/8")',
                "setSecurityPollSuffix('')",  # it would ask its makers whether it is too old
                f'newServer({{address="{topology.AUTHORITY}:53", healthCheckMode="up"}})',
                *odd,
            )
        ],
        argv=["/usr/bin/dnsdist", "--supervised", "-C", "/etc/dnsdist/street.conf"],
        listeners=[(topology.RESOLVER, 53)],
    )


def zone() -> list[str]:
    """The root zone, and with it all of the DNS: what does not stand here does not exist."""
    records = [
        "$TTL 60",
        ". SOA ns.street.example. hostmaster.street.example. 1 3600 900 86400 60",
        ". NS ns.street.example.",
    ]
    for name, address in [*topology.HOSTS.items(), *topology.HOSTS_SIX.items()]:
        ip = ip_address(address)
        records.append(f"{name}. {'A' if ip.version == 4 else 'AAAA'} {address}")
        if address != topology.NAMELESS and name != topology.SIX:
            records.append(f"{ip.reverse_pointer}. PTR {name}.")
    for domain, exchangers in topology.MX.items():
        for exchanger, preference in exchangers.items():
            records.append(f"{domain}. MX {preference} {exchanger.rstrip('.')}.")
    records += [f"{domain}. A {address}" for domain, address in topology.ADDRESSED.items()]
    records += [f"{name}. CNAME {target}." for name, target in topology.CNAMES.items()]
    records += [f'{domain}. TXT "no mail, no web"' for domain in topology.BARE]
    listed = ".".join(reversed(topology.LISTED.split(".")))
    records.append(f"{listed}.{topology.BLOCK_LIST}. A 127.0.0.2")  # RFC 5782 section 2.1
    return records
