"""init: what a repository needs before the first run, each step said; done again it changes nothing."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.config import Config

SHIMS = ("tools/status.py", "tools/view_worker.py", "adws/__init__.py", "adws/metrics.py")
EJECTED = ("worker_templates/*/template.toml", "worker_templates/*/prompt.md", "adws/workflows/*.toml")
EXCLUDES = ("/logs/", "/.coordinator/", "/adws/metrics.json", "/STOP")
CONFIG = """\
# What the coordinator does here. Every line may go: the default stands behind it.
# All keys, with where each value came from: coordinator config show
[repository]
{name}

# [poll]
# interval = "15s"        # how often GitHub is asked

# [workers]
# max = 3                 # agents at once
# provider = "claude"     # or "command"
# timeout = "2h"          # the longest session

# [worktree]
# copy = [".env"]         # untracked files that a fresh worktree needs
# after_create = ""       # such as "make deps"

# [caps]
# sessions_per_day = 50
# tokens_per_task = 0     # 0 = no cap
# money_per_day = 0       # US dollars

# [fallback]
# claude = ["codex"]      # who stands in while claude is at its limit

# [trust]
# users = []              # who may start work without write permission
"""


@dataclass(frozen=True)
class Step:
    """One thing that should be so. `there` asks, `make` does it; `make` returns words when it could not."""

    what: str
    there: Callable[[], bool]
    make: Callable[[], str | None]


def add_to(app: typer.Typer) -> None:
    app.command()(init)


def init(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    eject: Annotated[bool, typer.Option("--eject", help="Copy templates and workflows too, to change them.")] = False,
) -> None:
    """Make this repository ready: coordinator.toml, excludes, label, tools."""
    from coordinator import app

    place = app.place()
    failed = False
    for step in _steps(place, eject=eject):
        if step.there():
            print(f"was there   {step.what}")
        elif dry_run:
            print(f"would do    {step.what}")
        else:
            trouble = step.make()
            failed = failed or trouble is not None
            print(f"done        {step.what}" if trouble is None else f"not done    {step.what}: {trouble}")
    print("Nothing was changed." if dry_run else
          "Next: coordinator doctor" if failed else "Next: coordinator doctor, then coordinator run")


def _steps(place: Place, *, eject: bool) -> Iterator[Step]:
    from coordinator import app
    from coordinator.app import host

    config = app.configuration(place, os.environ)
    repo = app.git_repository(place, config, None)
    name = config.repository.name or repo.full_name
    yield _file(place.config, CONFIG.format(name=f'name = "{name}"' if name else '# name = "owner/name"'))
    ours = [] if repo.tracked("tasks.md") else ["/tasks.md"]
    yield _excludes(place, [f"/{config.worktree.root}/", *EXCLUDES, *ours], repo.exclude)
    yield _file(place.home / "python", f"{sys.executable}\n", private=True)
    for shim in SHIMS:
        yield _copy(host.shipped() / shim, place.root / shim)
    if eject:
        for source in sorted(one for pattern in EJECTED for one in host.shipped().glob(pattern)):
            yield _copy(source, place.root / source.relative_to(host.shipped()))
    yield _label(config, name)


def _file(path: Path, text: str, *, private: bool = False) -> Step:
    def make() -> None:
        from coordinator.runfiles import atomic

        path.parent.mkdir(mode=0o700 if private else 0o755, parents=True, exist_ok=True)
        atomic.write(str(path), text.encode(), mode=0o600 if private else 0o644)

    def there() -> bool:
        return path.read_text("utf-8", "replace") == text if private and path.is_file() else os.path.lexists(path)

    return Step(_shown(path), there, make)


def _shown(path: Path) -> str:
    known = (".coordinator", "tools", "adws", "workflows")
    near = path.parent.name in known or path.parent.parent.name == "worker_templates"
    return "/".join(path.parts[-2:]) if near else path.name


def _copy(source: Path, target: Path) -> Step:
    def make() -> None:
        import shutil

        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(source, target)
        target.chmod(0o755 if source.read_bytes().startswith(b"#!") else 0o644)   # a wheel keeps no modes

    return Step(_shown(target), lambda: os.path.lexists(target), make)


def _excludes(place: Place, names: list[str], add: Callable[[list[str]], tuple[str, ...]]) -> Step:
    def there() -> bool:
        from coordinator.app import host

        known = host.excluded(place)
        return all(name in known for name in names)

    def make() -> None:
        add(names)

    return Step(f".git/info/exclude: {' '.join(names)}", there, make)


def _label(config: Config, name: str) -> Step:
    """The trigger label on GitHub; asking needs a token."""
    from coordinator.app import host

    what = f"label {config.labels.auto} in {name or 'the repository on GitHub'}"

    def there() -> bool:
        return bool(name) and host.label_there(config, name, os.environ)

    def make() -> str | None:
        if not name:
            return "no remote names a repository on GitHub; set repository.name in coordinator.toml"
        return host.make_label(config, name, os.environ)

    return Step(what, there, make)
