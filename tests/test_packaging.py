"""The package as users get it: wheel, sdist, plain and editable installs all have the plugin."""

from __future__ import annotations

import shutil
import subprocess
import sys
import sysconfig
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
#: Seconds for one step of building or installing.
STEP = 300


def _run(*command: str | Path, cwd: Path | None = None) -> str:
    done = subprocess.run(
        [str(word) for word in command],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=STEP,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what the project is made of, so that building leaves no trace in it."""
    copy = tmp_path_factory.mktemp("checkout") / "project"
    copy.mkdir()
    for name in ("twisted_probe", "twisted", "tests", "tap", "docs", "benchmarks"):
        if (ROOT / name).exists():
            shutil.copytree(
                ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__", "*.cache")
            )
    for name in ("setup.cfg", "pyproject.toml", "MANIFEST.in", "README.rst", "LICENSE", "Makefile"):
        shutil.copy(ROOT / name, copy / name)
    return copy


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with the sdist, and the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    _run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, checkout)
    return out


def _environment(path: Path) -> Path:
    """A virtual environment that finds our dependencies, but not this very installation."""
    _run(sys.executable, "-m", "venv", "--without-pip", path)
    python = path / "bin" / "python"
    site = Path(
        _run(python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))").strip()
    )
    # A folder that a .pth file names is searched, its own .pth files are not read: the editable
    # installation under test here stays out of sight.
    (site / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return python


def _install(python: Path, *what: str | Path) -> None:
    _run(
        *(sys.executable, "-m", "pip", "--python", python, "install", "--quiet"),
        *("--disable-pip-version-check", "--no-deps", "--no-build-isolation", *what),
    )


def _twistd_help(python: Path, cwd: Path) -> str:
    return _run(python, "-c", "from twisted.scripts.twistd import run; run()", "--help", cwd=cwd)


@pytest.mark.parametrize("kind", ["wheel", "plain", "editable"])
def test_twistd_finds_the_plugin(kind: str, checkout: Path, built: Path, tmp_path: Path) -> None:
    python = _environment(tmp_path / "environment")
    wheel = next(built.glob("*.whl"))
    what: dict[str, list[str | Path]] = {
        "wheel": [wheel],
        "plain": [checkout],
        "editable": ["-e", checkout],
    }
    _install(python, *what[kind])
    assert "mailprobe" in _twistd_help(python, tmp_path)
    home = _run(python, "-c", "import twisted_probe; print(twisted_probe.__file__)", cwd=tmp_path)
    assert str(checkout if kind == "editable" else tmp_path) in home
    assert "COMMAND" in _run(tmp_path / "environment" / "bin" / "mailprobe", "--help")
    # The data files are found where they are installed.
    _run(
        python,
        "-c",
        "from twisted_probe.verdict.rules import default_rules; default_rules();"
        "from twisted_probe.jobs.ledger import Ledger; Ledger(':memory:').close()",
        cwd=tmp_path,
    )


def test_the_wheel_holds_what_it_should(built: Path) -> None:
    names = zipfile.ZipFile(next(built.glob("*.whl"))).namelist()
    assert "twisted/plugins/mailprobe_plugin.py" in names
    assert not [name for name in names if name.startswith("twisted/") and "__init__" in name]
    assert not [name for name in names if name.startswith(("tests/", "tap/"))]
    for name in (
        "twisted_probe/py.typed",
        "twisted_probe/verdict/rules.toml",
        "twisted_probe/jobs/schema/0001_initial.sql",
        "twisted_probe/sandbox/sample.txt",
    ):
        assert name in names
    shipped = {name.rsplit("/", 1)[-1] for name in names if "/share/twisted-probe/tap/" in name}
    assert shipped == {path.name for path in (ROOT / "tap").iterdir()}
    modules = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "twisted_probe").rglob("*.py")
        if "__pycache__" not in path.parts
    }
    assert modules == {
        name for name in names if name.startswith("twisted_probe/") and name[-3:] == ".py"
    }


def test_the_sdist_holds_what_it_should(built: Path) -> None:
    with tarfile.open(next(built.glob("*.tar.gz"))) as archive:
        names = {name.split("/", 1)[-1] for name in archive.getnames()}
    for name in ("tests/conftest.py", "tap/mailprobe.tac", "LICENSE", "Makefile", "README.rst"):
        assert name in names
    assert {"docs/formats.rst", "docs/old_class.rst", "docs/examples/one_address.py"} <= names
    assert {"docs/benchmarks.rst", "benchmarks/sink.c", "benchmarks/run.py"} <= names


def test_the_readme_renders_without_a_warning() -> None:
    from docutils.core import publish_string

    page = publish_string(
        (ROOT / "README.rst").read_text("utf-8"),
        writer="html5",
        settings_overrides={"report_level": 1, "halt_level": 1, "output_encoding": "unicode"},
    )
    assert "twisted_probe" in page
