"""The fuzzer: `python -m tests.fuzz grammar|session [libFuzzer's options and folders]`.

Knows atheris; the targets do not.
"""

from __future__ import annotations

import shlex
import sys

import atheris

with atheris.instrument_imports(
    include=["twisted_probe", "twisted.protocols.basic"], enable_loader_override=False
):
    from tests.fuzz.targets import TARGETS


def main() -> None:
    """Run until told to stop, or until a target fails."""
    if len(sys.argv) < 2 or sys.argv[1] not in TARGETS:
        sys.exit(f"usage: python -m tests.fuzz {'|'.join(TARGETS)} [options of libFuzzer]")
    _, name, *options = sys.argv
    target = TARGETS[name]

    def one_input(data: bytes) -> None:
        target(data)

    # libFuzzer runs itself again to merge and to minimise: these words, in a shell.
    atheris.Setup([f"{shlex.quote(sys.executable)} -m tests.fuzz {name}", *options], one_input)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
