"""Where workflows are found: the repository's own first, then those that came with the program."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.app.templates import template_finder
from coordinator.domain.workflow import Library, Stage, Workflow
from coordinator.wording.prompt import TemplateError
from coordinator.wording.workflow_file import WorkflowError, parse_workflow

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.wording.prompt import Template

FOLDERS = ("adws/workflows", "worker_templates")
SHIPPED = Path(__file__).parent.parent.parent

Marks = tuple[tuple[str, int, int], ...]


def workflow_finder(where: Place) -> Callable[[], Library]:
    """Reads adws/workflows/ anew when a file of it, or of the templates, has changed: what is mended counts at the next
    tick."""
    last: tuple[Marks, Library] | None = None

    def find() -> Library:
        nonlocal last
        marks = tuple(_marks(where))
        if last is None or last[0] != marks:
            last = (marks, _read(where))
        return last[1]

    return find


def _marks(where: Place) -> Iterator[tuple[str, int, int]]:
    for folder in FOLDERS:
        for root in (where.root, SHIPPED):
            for path in sorted((root / folder).glob("**/*")):
                try:
                    seen = path.stat()
                except OSError:
                    continue   # gone meanwhile, or a link to nothing
                yield str(path), seen.st_mtime_ns, seen.st_size


def _read(where: Place) -> Library:
    files = {path.stem: path for root in (SHIPPED, where.root) for path in sorted((root / FOLDERS[0]).glob("*.toml"))}
    known, broken = dict[str, Workflow](), dict[str, str]()
    template = template_finder(where)
    for name, path in files.items():
        try:
            workflow = parse_workflow(name, path.read_text("utf-8"))
            known[name] = replace(workflow, stages=tuple(_checked(name, one, template) for one in workflow.stages))
        except WorkflowError as error:
            broken[name] = str(error)
        except UnicodeDecodeError as error:
            broken[name] = f"adws/workflows/{name}.toml is no UTF-8: {error.reason} at byte {error.start}"
        except OSError as error:
            broken[name] = f"adws/workflows/{name}.toml cannot be read: {error.strerror}"
    return Library(known, broken)


def _checked(name: str, stage: Stage, template: Callable[[str], Template]) -> Stage:
    """The stage with the provider that its template names, where it names none. Raises WorkflowError."""
    from coordinator.app import provider_names

    place = f"adws/workflows/{name}.toml, stage {stage.name}"
    if stage.template:
        try:
            stage = replace(stage, provider=stage.provider or template(stage.template).provider)
        except (TemplateError, OSError, UnicodeDecodeError) as error:
            raise WorkflowError(f"{place}: template = {stage.template!r}: {error}") from error
    if stage.provider and stage.provider not in provider_names():
        known = ", ".join(provider_names())
        raise WorkflowError(f"{place}: provider = {stage.provider!r}; known are {known}")
    return stage
