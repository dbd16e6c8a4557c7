"""docs/examples/test_an_application.py, run as its first line says."""

from __future__ import annotations

from pathlib import Path

from tests.docs.running import EXAMPLES, run


async def test_its_tests_pass(tmp_path: Path) -> None:
    """Trial fails tests that log errors or leave something in the reactor."""
    done = await run(
        *("-m", "twisted.trial", "--temp-directory", str(tmp_path / "trial")),
        str(EXAMPLES / "test_an_application.py"),
        directory=tmp_path,
    )
    assert done.code == 0, done.out + done.err
    assert "PASSED (successes=6)" in done.out
