"""`init`: what it makes, what it leaves alone, what it says; from a checkout and from an installed wheel."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from coordinator.rehearsal.standin import StandIn
from tests.support.description import check_all
from tests.support.program import CHECKOUT, a_repository, environ, program, tree

TOKEN = "t0ken-of-init"


@dataclass
class Place:
    """A repository whose GitHub is a stand-in."""

    root: Path
    github: StandIn

    def init(self, *argv: str, token: str = TOKEN) -> subprocess.CompletedProcess[str]:
        return program(self.root, "init", *argv, **({"GITHUB_TOKEN": token} if token else {}))


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with StandIn(tmp_path / "github") as github:
        github.add_user("bot", TOKEN)
        made = github.add_repository("acme/widgets", {"README.md": "# widgets\n"})
        root = a_repository(tmp_path / "widgets", made.clone_url)
        (root / "coordinator.toml").write_text(
            f'[repository]\nname = "acme/widgets"\napi_url = "{github.url}"\n[labels]\nauto = "go-ahead"\n'
        )
        yield Place(root, github)
    check_all(github.requests)


def lines(ran: subprocess.CompletedProcess[str], word: str) -> list[str]:
    assert (ran.returncode, ran.stderr) == (0, "")
    return [line.removeprefix(word).strip() for line in ran.stdout.splitlines() if line.startswith(word)]


def writes(place: Place) -> list[str]:
    return [one.method for one in place.github.requests if one.method != "GET"]


def test_a_dry_run_names_every_step_and_changes_nothing_here_or_on_github(place: Place) -> None:
    before = tree(place.root)
    named = lines(place.init("--dry-run", "--eject"), "would do")
    assert tree(place.root) == before
    assert writes(place) == []
    done = lines(place.init("--eject"), "done")
    assert named == done
    assert "label go-ahead in acme/widgets" in done
    assert writes(place) == ["POST"]
    assert (place.root / "worker_templates" / "default" / "prompt.md").is_file()


def test_done_again_it_finds_everything_there_the_label_too(place: Place) -> None:
    place.init("--eject")
    before, asked = tree(place.root), len(place.github.requests)
    again = place.init("--eject")
    assert len(lines(again, "was there")) == len(again.stdout.splitlines()) - 1
    assert "label go-ahead in acme/widgets" in lines(again, "was there")
    assert tree(place.root) == before
    assert {one.method for one in place.github.requests[asked:]} == {"GET"}


@pytest.mark.parametrize(("token", "words"), [("", "gh auth login"), ("wrong", "does not accept the token")])
def test_without_a_good_token_all_but_the_label_is_made_and_the_cure_is_said(
    place: Place, token: str, words: str
) -> None:
    ran = place.init(token=token)
    [left] = lines(ran, "not done")
    assert "label go-ahead in acme/widgets: " in left
    assert words in left, left
    assert ran.stdout.endswith("Next: coordinator doctor\n")
    assert (place.root / "tools" / "status.py").is_file()


def test_what_people_have_stays_as_it_is(place: Place) -> None:
    """A configuration, a tool of theirs by the same name, a tracked tasks.md that stays in their commits."""
    (place.root / "tools").mkdir()
    (place.root / "tools" / "status.py").write_text("print('mine')\n")
    (place.root / "tasks.md").write_text("# our list\n")
    subprocess.run(["git", "-C", str(place.root), "add", "tasks.md"], check=True)
    exclude = place.root / ".git" / "info" / "exclude"
    exclude.write_text("/mine/")
    config = (place.root / "coordinator.toml").read_text()
    place.init()
    assert (place.root / "tools" / "status.py").read_text() == "print('mine')\n"
    assert (place.root / "coordinator.toml").read_text() == config
    found = exclude.read_text().splitlines()
    assert found[0] == "/mine/"
    assert {"/trees/", "/logs/", "/.coordinator/"} <= set(found)
    assert "/tasks.md" not in found


def test_a_folder_that_cannot_be_written_is_said_in_words(tmp_path: Path) -> None:
    """Root gives up its capabilities first: else nothing stops it."""
    root = a_repository(tmp_path / "widgets")
    root.chmod(0o555)
    plain = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.geteuid() == 0 else []
    if plain and shutil.which("setpriv") is None:
        pytest.skip("root without setpriv can write everywhere")
    ran = subprocess.run([*plain, sys.executable, "-m", "coordinator", "init"], cwd=root, text=True, timeout=50,
                         capture_output=True, env=environ(tmp_path), check=False)  # fmt: skip
    root.chmod(0o755)
    assert ran.returncode == 1
    assert ran.stderr.startswith("error: Permission denied")
    assert "Traceback" not in ran.stderr


# --- installed ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of programs of an environment that holds a wheel of this checkout, no checkout and no network."""
    if not all(map(importlib.util.find_spec, ("pip", "setuptools", "venv"))):
        pytest.skip("pip, setuptools and venv are needed to build a wheel")
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    for name in ("coordinator", "tools", "adws", "worker_templates"):
        shutil.copytree(CHECKOUT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(CHECKOUT / name, source)
    pip = [sys.executable, "-m", "pip", "-q", "--disable-pip-version-check"]
    subprocess.run([*pip, "wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(folder), str(source)],
                   check=True)  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder / "venv")], check=True)
    python = folder / "venv" / "bin" / "python"
    asked = [str(python), "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"]
    site = Path(subprocess.run(asked, check=True, capture_output=True, text=True).stdout.strip())
    (site / "others.pth").write_text("\n".join(path for path in sys.path if path.endswith("-packages")) + "\n")
    [wheel] = folder.glob("*.whl")
    subprocess.run([*pip, "--python", str(python), "install", "--no-deps", "--no-index", str(wheel)], check=True)
    return python.parent


@pytest.mark.req("F3", "E58")
def test_an_installed_program_brings_its_templates_tools_and_migrations(installed: Path, tmp_path: Path) -> None:
    root = a_repository(tmp_path / "widgets")
    env = {**environ(tmp_path), "PYTHONPATH": ""}

    def ran(*argv: str) -> str:
        done = subprocess.run(argv, cwd=root, env=env, text=True, capture_output=True, timeout=50, check=False)
        assert done.returncode == 0, done.stderr
        return done.stdout

    made = ran(str(installed / "coordinator"), "init", "--eject")
    assert [line[:17] for line in made.splitlines()[:-1] if not line.startswith("done ")] == ["not done    label"]
    for name in ("default", "planner", "reviewer"):
        assert (root / "worker_templates" / name / "prompt.md").is_file()
    assert (root / "adws" / "workflows" / "plan-build-review.toml").is_file()
    assert ran(str(installed / "python"), "-c", "import coordinator; print(coordinator.__file__)").startswith(
        str(installed.parent))  # fmt: skip
    assert ran(str(root / "tools" / "status.py")) == "! no coordinator has run here yet: coordinator run\n"
    assert ran(str(installed / "coordinator"), "clean", "--dry-run") == "nothing to remove\n"
    assert ran(str(installed / "python"), "-c", "from adws.metrics import Metrics; print(Metrics().data['health'])")
    shutil.rmtree(root / "worker_templates")
    found = ("from coordinator import app; from coordinator.app import templates; "
             "print(templates.template_finder(app.place())('default').prompt)")
    assert "BLOCKED.md" in ran(str(installed / "python"), "-c", found)
