"""The wheel and the source archive: built as an installer builds them, installed in a fresh environment, and asked."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import tomllib
import venv
import zipfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]
ALONE = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
"""Environment in which nothing points to the repository."""

NOT_IN_THE_ARCHIVE = (".ci/", ".github/", ".gitignore")
"""What a repository has and a source archive has no use for."""


def tracked() -> list[str]:
    """Files of the repository, with those about to be added, as they lie in the folder."""
    names = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    ).stdout.split("\0")  # fmt: skip
    return sorted(name for name in names if name and (ROOT / name).is_file())


def build(source: Path, into: Path, *kinds: str) -> list[Path]:
    """What the build's own hooks make of a source tree (PEP 517), each in a process as an installer starts it."""
    code = "import sys, setuptools.build_meta as m; [getattr(m, 'build_' + k)(sys.argv[1]) for k in sys.argv[2:]]"
    done = subprocess.run(
        [sys.executable, "-c", code, str(into), *kinds], cwd=source, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return sorted(into.iterdir())


@dataclass(frozen=True)
class Built:
    """A wheel and a source archive, and what is in them. python: of the environment that the wheel is installed in."""

    wheel: Path
    archive: Path
    in_wheel: frozenset[str]
    in_archive: frozenset[str]
    python: Path

    def ask(self, *words: str) -> subprocess.CompletedProcess[str]:
        """The installed console script, asked from an empty folder."""
        script = self.python.parent / "tonnage"
        empty = self.python.parent.parent / "empty"
        empty.mkdir(exist_ok=True)
        return subprocess.run([script, *words], cwd=empty, env=ALONE, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    folder = tmp_path_factory.mktemp("package")
    source, dist = folder / "source", folder / "dist"
    dist.mkdir()
    for name in tracked():
        (source / name).parent.mkdir(parents=True, exist_ok=True)
        (source / name).write_bytes((ROOT / name).read_bytes())
    build(source, dist, "sdist")
    (archive,) = dist.glob("*.tar.gz")
    with tarfile.open(archive) as tar:
        tar.extractall(folder / "unpacked", filter="data")
        base = f"tonnage-{PROJECT['version']}/"
        in_archive = frozenset(m.name.removeprefix(base) for m in tar.getmembers() if m.isfile())
    build(folder / "unpacked" / base, dist, "wheel")
    (wheel,) = dist.glob("*.whl")
    return Built(wheel, archive, frozenset(zipfile.ZipFile(wheel).namelist()), in_archive, installed(wheel, folder))


def installed(wheel: Path, folder: Path) -> Path:
    """Python of a fresh environment with the wheel in it; dependencies are those of the environment of the tests."""
    place = folder / "venv"
    venv.create(place, symlinks=True)
    python = place / "bin" / "python"
    (packages,) = place.glob("lib/*/site-packages")
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "--no-deps", "--no-index", "-q"]
    subprocess.run([*command, "--disable-pip-version-check", str(wheel)], check=True, capture_output=True, env=ALONE)
    others = [path for path in sys.path if path.endswith("site-packages")] or [sysconfig.get_path("purelib")]
    (packages / "others.pth").write_text("\n".join(others) + "\n", encoding="utf-8")
    return python


def test_the_wheel_made_of_the_archive_has_every_file_of_the_package(built: Built) -> None:
    ours = {name.removeprefix("src/") for name in tracked() if name.startswith("src/tonnage/")}
    assert {name for name in built.in_wheel if name.startswith("tonnage/")} == ours
    others = {name.partition("/")[0] for name in built.in_wheel} - {"tonnage"}
    assert others == {f"tonnage-{PROJECT['version']}.dist-info"}
    assert {Path(name).name for name in built.in_wheel} >= {"LICENSE", "NOTICE", "entry_points.txt"}


def test_the_archive_has_all_that_building_and_testing_need(built: Built) -> None:
    wanted = {name for name in tracked() if not name.startswith(NOT_IN_THE_ARCHIVE)} - {"MANIFEST.in"}
    assert wanted - built.in_archive == set()
    more = {name for name in built.in_archive - wanted if "tonnage.egg-info/" not in name}
    assert more <= {"MANIFEST.in", "PKG-INFO", "setup.cfg"}


def test_the_installed_command_answers_from_anywhere(built: Built) -> None:
    version = built.ask("--version")
    assert (version.returncode, version.stdout.strip(), version.stderr) == (0, PROJECT["version"], "")
    fits = built.ask("fit", "deepseek-r1", "--on", "8xh20")
    assert fits.returncode == 0, fits.stderr
    assert "deepseek-r1" in fits.stdout.lower()
    start = built.ask("new", "--from", "r2")
    assert start.returncode == 0 and "fleet:" in start.stdout
    module = [str(built.python), "-m", "tonnage", "show", "h20"]
    shown = subprocess.run(module, cwd=built.python.parent, env=ALONE, capture_output=True, text=True, check=False)
    assert shown.returncode == 0 and "h20" in shown.stdout.lower()
    where = [str(built.python), "-c", "import tonnage; print(tonnage.__file__)"]
    found = subprocess.run(where, cwd=built.python.parent, env=ALONE, capture_output=True, text=True, check=True).stdout
    assert Path(found.strip()).is_relative_to(built.python.parent.parent), "the installed one, not the repository's"


def test_what_the_package_says_of_itself(built: Built) -> None:
    with zipfile.ZipFile(built.wheel) as wheel:
        (name,) = (name for name in wheel.namelist() if name.endswith(".dist-info/METADATA"))
        text = wheel.read(name).decode()
    head, _, body = text.partition("\n\n")
    assert f"\nVersion: {PROJECT['version']}\n" in head
    assert "\nLicense-Expression: Apache-2.0\n" in head
    assert set(re.findall(r"^Provides-Extra: (.*)$", head, re.M)) == set(PROJECT["optional-dependencies"])
    assert body.strip() == (ROOT / "README.md").read_text(encoding="utf-8").strip()
    assert PROJECT["scripts"] == {"tonnage": "tonnage.cli:main"}, "what `uvx tonnage` and `pipx run tonnage` start"


def test_every_extra_that_an_extra_names_is_there() -> None:
    extras = PROJECT["optional-dependencies"]
    requirements = [Requirement(text) for texts in extras.values() for text in texts]
    named = {extra for one in requirements if one.name == "tonnage" for extra in one.extras}
    assert named <= set(extras)


# ---------------------------------------------------------------- CITATION.cff

CFF_KEYS = {
    "abstract", "authors", "cff-version", "commit", "contact", "date-released", "doi", "identifiers", "keywords",
    "license", "license-url", "message", "preferred-citation", "references", "repository", "repository-artifact",
    "repository-code", "title", "type", "url", "version",
}  # fmt: skip
"""Of the Citation File Format 1.2.0 (its schema.json; https://doi.org/10.5281/zenodo.5171937)."""


def test_the_citation_is_valid_and_of_this_version() -> None:
    cff = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert set(cff) <= CFF_KEYS
    assert {"cff-version", "message", "title", "authors"} <= set(cff), "what the format requires"
    assert cff["cff-version"] == "1.2.0"
    assert cff["type"] == "software"
    assert cff["title"] == PROJECT["name"]
    assert cff["version"] == PROJECT["version"]
    assert cff["license"] == PROJECT["license"]
    assert all(set(author) <= {"name", "family-names", "given-names", "email", "orcid"} for author in cff["authors"])
    assert [author["name"] for author in cff["authors"]] == [author["name"] for author in PROJECT["authors"]]
    assert len(set(cff["keywords"])) == len(cff["keywords"]) > 3
