"""A machine of one's own for a moment: a network namespace, in which any address can be put up."""

from __future__ import annotations

import subprocess
import sys

from tests.lacking import end_without


def run_in_own_machine(commands: str, program: str, *arguments: str) -> list[str]:
    """The lines that a Python program prints there, after these commands of a shell.

    Ends the test where namespaces are not to be had.
    """
    script = f'set -e\nip link set lo up\n{commands}\nexec "$0" -W error -c "$@"'
    unshare = ("unshare", "--user", "--map-root-user", "--net", "sh", "-c", script)
    done = subprocess.run(
        [*unshare, sys.executable, program, *arguments], capture_output=True, text=True, timeout=60
    )
    if "unshare:" in done.stderr or "ip:" in done.stderr:
        end_without("namespaces", done.stderr.strip())
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()
