"""What is wrong with a setting is said in words that name the option and what it was."""

from __future__ import annotations

import os
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from twisted_probe.daemon.config import Config, ConfigError, check_sources, read_config
from twisted_probe.daemon.preparation import prepare
from twisted_probe.vocabulary.source import Source

ME = "127.0.0.21=probe1.example.org"
#: What a daemon can start with; each test changes one setting.
GOOD: dict[str, Any] = {
    "sources": [ME],
    "helo": None,
    "reverse_path": "probe@example.org",
    "resolvers": ["127.0.0.1:5353"],
}

NOBODY = 65534

BAD_SETTINGS = {
    "no spool": (
        {"spool": None},
        "--spool: no directory is given",
    ),
    "an empty spool": (
        {"spool": ""},
        "--spool: no directory is given",
    ),
    "no source": (
        {"sources": []},
        "--source: no source address is given; nothing is ever sent from an address that was not "
        "chosen",
    ),
    "a source without HELO": (
        {"sources": ["127.0.0.21"]},
        "--source '127.0.0.21': it has no HELO name; write --source ADDRESS=NAME or --helo NAME "
        "with a name that resolves to this address",
    ),
    "the second source without HELO": (
        {"sources": [ME, "127.0.0.22"]},
        "--source '127.0.0.22': it has no HELO name; write --source ADDRESS=NAME or --helo NAME "
        "with a name that resolves to this address",
    ),
    "an empty HELO": (
        {"sources": ["127.0.0.21="]},
        "--source '127.0.0.21=': HELO name '': it is empty",
    ),
    "HELO without a dot": (
        {"sources": ["127.0.0.21=probe1"]},
        "--source '127.0.0.21=probe1': HELO name 'probe1': it has no dot; exchangers want a fully "
        "qualified name",
    ),
    "HELO with control characters": (
        {"sources": ["127.0.0.21=probe1.example.org\r\nRSET"]},
        "--source '127.0.0.21=probe1.example.org\\r\\nRSET': HELO name "
        "'probe1.example.org\\r\\nRSET': it is not a host name of letters, digits, hyphens and "
        "dots",
    ),
    "HELO that is an IP address": (
        {"sources": ["127.0.0.21=192.0.2.10"]},
        "--source '127.0.0.21=192.0.2.10': HELO name '192.0.2.10': it looks like an IP address; "
        "exchangers want a name",
    ),
    "HELO that names every machine": (
        {"sources": ["127.0.0.21=localhost.localdomain"]},
        "--source '127.0.0.21=localhost.localdomain': HELO name 'localhost.localdomain': it names "
        "every machine and so none",
    ),
    "a common HELO without a dot": (
        {"sources": ["127.0.0.21"], "helo": "probe1"},
        "--helo 'probe1': it has no dot; exchangers want a fully qualified name",
    ),
    "a common HELO with control characters": (
        {"helo": "probe1.example.org\x1b[2J"},
        "--helo 'probe1.example.org\\x1b[2J': it is not a host name of letters, digits, hyphens "
        "and dots",
    ),
    "a common HELO that is an IP address": (
        {"helo": "[192.0.2.10]"},
        "--helo '[192.0.2.10]': it is not a host name of letters, digits, hyphens and dots",
    ),
    "an empty common HELO": (
        {"helo": ""},
        "--helo '': it is empty",
    ),
    "a source that is a name": (
        {"sources": ["mail.example.org=probe1.example.org"]},
        "--source 'mail.example.org=probe1.example.org': 'mail.example.org' does not appear to be "
        "an IPv4 or IPv6 address",
    ),
    "a source that is named twice": (
        {"sources": [ME, "127.0.0.21=probe2.example.org"]},
        "--source 127.0.0.21: it is named twice",
    ),
    "a source that is named twice, in two spellings": (
        {"sources": ["::1=probe1.example.org", "0:0::1=probe1.example.org"]},
        "--source ::1: it is named twice",
    ),
    "no reverse-path": (
        {"reverse_path": None},
        "--reverse-path: none is given; set an address of yours that receives mail",
    ),
    "a reverse-path without domain": (
        {"reverse_path": "probe"},
        "--reverse-path 'probe': it has no @",
    ),
    "a reverse-path that ends a line": (
        {"reverse_path": "probe@example.org>\r\nRCPT TO:<ann"},
        "--reverse-path 'probe@example.org>\\r\\nRCPT TO:<ann': the domain label "
        "'org>\\r\\nrcpt to:<ann' is not of 1 to 63 letters, digits and inner hyphens",
    ),
    "a resolver that is a name": (
        {"resolvers": ["ns.example.org"]},
        "--resolver 'ns.example.org': 'ns.example.org' does not appear to be an IPv4 or IPv6 "
        "address",
    ),
    "an IPv6 resolver's port without brackets": (
        {"resolvers": ["127.0.0.1", "2001:db8::53:domain"]},
        "--resolver '2001:db8::53:domain': '2001:db8::53:domain' does not appear to be an IPv4 or "
        "IPv6 address",
    ),
    "a resolver's port out of range": (
        {"resolvers": ["127.0.0.1:0"]},
        "--resolver '127.0.0.1:0': the port is not between 1 and 65535",
    ),
    "a port that is a word": (
        {"port": "smtp"},
        "--port 'smtp': it is not a number",
    ),
    "port 0": (
        {"port": "0"},
        "--port 0: it is not between 1 and 65535",
    ),
    "a port out of range": (
        {"port": "65536"},
        "--port 65536: it is not between 1 and 65535",
    ),
    "a network that is none": (
        {"allow_networks": ["10.0.0.0/8", "intranet"]},
        "--allow-network 'intranet': 'intranet' does not appear to be an IPv4 or IPv6 network",
    ),
    "a network with host bits": (
        {"allow_networks": ["10.1.2.3/8"]},
        "--allow-network '10.1.2.3/8': 10.1.2.3/8 has host bits set",
    ),
}


def read(**changes: Any) -> Config:
    return read_config(**{"spool": "spool", **GOOD, **changes})


@pytest.mark.parametrize(("changes", "words"), BAD_SETTINGS.values(), ids=BAD_SETTINGS.keys())
def test_bad_settings(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read(**changes)
    assert str(caught.value) == words


def test_good_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    config = read(
        sources=[ME, "::1"],
        helo="probe2.example.org",
        resolvers=["127.0.0.1:5353", "127.0.0.2"],
        port="2525",
        allow_networks=["127.0.0.0/8", "fc00::/7"],
    )
    assert config.sources == (
        Source("127.0.0.21", helo="probe1.example.org"),
        Source("::1", helo="probe2.example.org"),
    )
    assert config.reverse_path == "probe@example.org"
    assert config.resolvers == (("127.0.0.1", 5353), ("127.0.0.2", 53))
    assert config.port == 2525
    assert config.allow_networks == ("127.0.0.0/8", "fc00::/7")
    # twistd changes the directory, with --rundir, after the lock was taken.
    assert config.spool == tmp_path / "spool"


@pytest.mark.parametrize("null", ["", "<>"])
def test_the_null_reverse_path_can_be_chosen(null: str) -> None:
    assert read(reverse_path=null).reverse_path == null


def test_the_machines_resolvers_are_asked_where_none_is_given() -> None:
    assert read(resolvers=[]).resolvers


# ---------------------------------------------------------------- what the machine says


def test_sources_of_this_machine() -> None:
    check_sources([Source("127.0.0.21", helo="probe1.example.org")])


def test_a_source_that_is_not_on_this_machine() -> None:
    with pytest.raises(ConfigError) as caught:
        check_sources([Source("192.0.2.1", helo="probe1.example.org")])
    assert str(caught.value) == (
        "--source 192.0.2.1: this machine cannot send from it (Cannot assign requested address); "
        "give one of its own addresses"
    )


@pytest.mark.parametrize("address", ["0.0.0.0", "::"])
def test_a_source_that_is_any_address(address: str) -> None:
    """The kernel binds to it and then chooses an address by itself."""
    with pytest.raises(ConfigError) as caught:
        read_config(spool="spool", **{**GOOD, "sources": [f"{address}=probe1.example.org"]})
    assert str(caught.value) == (
        f"--source '{address}=probe1.example.org': {address} is no single address of a machine"
    )


def test_a_reverse_path_that_not_every_exchanger_takes() -> None:
    with pytest.raises(ConfigError, match="has to be ASCII"):
        read_config(spool="spool", **{**GOOD, "reverse_path": "pröbe@example.org"})


def test_checking_sources_leaves_the_ports_to_others() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.21", 0))
        port = other.getsockname()[1]
    check_sources([Source("127.0.0.21", helo="probe1.example.org", port=port)])
    with socket.socket() as other:
        other.bind(("127.0.0.21", port))


@contextmanager
def ordinary_user() -> Iterator[None]:
    """Nobody in particular, whom mode bits hold."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory that everybody can enter."""
    with tempfile.TemporaryDirectory() as path:
        os.chmod(path, 0o755)
        yield Path(path)


def refusal(spool: Path) -> str:
    with pytest.raises(ConfigError) as caught, ordinary_user():
        prepare(read(spool=str(spool)))
    return str(caught.value)


def test_a_spool_that_cannot_be_made(place: Path) -> None:
    place.chmod(0o555)
    spool = place / "spool"
    assert refusal(spool) == f"--spool: the spool {spool}: it cannot be made: Permission denied"


def test_a_spool_that_cannot_be_written(place: Path) -> None:
    spool = place / "spool"
    prepare(read(spool=str(spool))).release()
    for path in (spool, *spool.iterdir()):
        path.chmod(0o555)
    words = (
        f"--spool: the spool {spool / 'tmp'}: it belongs to root; it has to belong to nobody and "
        "to be 0700"
    )
    assert refusal(spool) == words


def test_a_spool_that_is_a_file(place: Path) -> None:
    spool = place / "spool"
    spool.touch()
    words = refusal(spool)
    assert words.startswith(f"--spool: the spool {spool}: ")


def test_a_part_of_the_spool_that_is_a_file(place: Path) -> None:
    spool = place / "spool"
    spool.mkdir(mode=0o777)
    spool.chmod(0o777)
    (spool / "done").touch()
    words = refusal(spool)
    assert words.startswith(f"--spool: the spool {spool / 'done'}: ")


def test_a_spool_below_a_file(place: Path) -> None:
    (place / "file").touch()
    spool = place / "file" / "spool"
    assert refusal(spool) == f"--spool: the spool {spool}: it cannot be made: Not a directory"


@pytest.mark.parametrize("address", ["255.255.255.255", "127.255.255.255"])
def test_a_source_that_is_a_broadcast_address(address: str) -> None:
    """Linux binds to it, and then sends from another one."""
    with pytest.raises(ConfigError, match=f"--source {address}: this machine cannot send from it"):
        check_sources([Source(address, helo="probe1.example.org")])
