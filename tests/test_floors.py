"""The house's floors: imports go down only, and the lower ones know no Twisted."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "twisted_probe"

#: Floor of each part; a part may import its own floor's part only where it is the same part.
FLOORS = {
    "vocabulary": 0,
    "verdict": 1,
    "flags": 1,
    "smtp": 2,
    "routing": 3,
    "jobs": 4,
    "daemon": 5,
    "tap": 6,
    "cli": 6,
}
#: Fakes for tests and demos: they may import the floors up to 2, and only these may import them.
ASIDE = {"sandbox": 2, "testing": 2}
MAY_USE_ASIDE = {"cli", "sandbox", "testing"}
#: Parts of one floor that may use each other, and in which direction.
SAME_FLOOR = {("cli", "tap")}
#: Floors that know values only.
PURE = ("vocabulary", "verdict", "flags")
#: The only modules that may import the global reactor.
WITH_REACTOR = {"tap"}


def _part(module: str) -> str | None:
    """The part of the package that a dotted name belongs to, None for the package itself."""
    names = module.split(".")
    return names[1] if names[0] == "twisted_probe" and len(names) > 1 else None


def _modules() -> list[tuple[str, Path]]:
    found = []
    for path in sorted(PACKAGE.rglob("*.py")):
        names = path.relative_to(PACKAGE.parent).with_suffix("").parts
        found.append((".".join(names).removesuffix(".__init__"), path))
    return found


def _imports(path: Path) -> list[tuple[int, str]]:
    """Every import of a file, those within functions and type checks too."""
    found = []
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found += [(node.lineno, alias.name) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: a relative import"
            assert node.module is not None
            found.append((node.lineno, node.module))
            found += [(node.lineno, f"{node.module}.{alias.name}") for alias in node.names]
    return found


def _allowed(importer: str, imported: str) -> bool:
    if importer == imported:
        return True
    if imported in ASIDE:
        return importer in MAY_USE_ASIDE
    if importer in ASIDE:
        return FLOORS[imported] <= ASIDE[importer]
    return FLOORS[imported] < FLOORS[importer] or (importer, imported) in SAME_FLOOR


@pytest.mark.parametrize(("module", "path"), _modules(), ids=lambda value: str(value)[-40:])
def test_imports_go_down_only(module: str, path: Path) -> None:
    importer = _part(module)
    if importer is None:
        return  # the package's own lazy front door
    for line, name in _imports(path):
        imported = _part(name)
        # `from twisted_probe import __version__` names no part.
        if imported is None or imported == "__version__":
            continue
        assert _allowed(importer, imported), f"{path}:{line}: {importer} imports {imported}"
        if importer in PURE:
            assert imported in PURE, f"{path}:{line}"


@pytest.mark.parametrize(("module", "path"), _modules(), ids=lambda value: str(value)[-40:])
def test_no_twisted_below_the_wire_and_no_global_reactor(module: str, path: Path) -> None:
    part = _part(module)
    for line, name in _imports(path):
        if part in PURE:
            assert name.split(".")[0] != "twisted", f"{path}:{line}: {name}"
        if name == "twisted.internet.reactor":
            assert part in WITH_REACTOR, f"{path}:{line}: the global reactor"


def test_importing_the_package_imports_no_twisted() -> None:
    code = (
        "import sys, twisted_probe; dir(twisted_probe);"
        "assert not [name for name in sys.modules if name.split('.')[0] == 'twisted']"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_every_name_for_embedders_is_there() -> None:
    import twisted_probe

    for name in twisted_probe.__all__:
        assert getattr(twisted_probe, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        twisted_probe.nothing  # noqa: B018
