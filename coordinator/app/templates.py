"""Where worker templates are found: the repository's own first, then those that came with the program."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from coordinator.wording.prompt import Template, TemplateError, parse_template

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.config import Config


def template_finder(where: Place) -> Callable[[str], Template]:
    """Reads worker_templates/<name>/ of the repository, else the one that came with the program."""
    shipped = Path(__file__).parent.parent.parent / "worker_templates"

    def find(name: str) -> Template:
        for folder in (where.root / "worker_templates" / name, shipped / name):
            if (folder / "prompt.md").is_file():
                settings = folder / "template.toml"
                text = settings.read_text("utf-8") if settings.is_file() else ""
                return parse_template(name, text, (folder / "prompt.md").read_text("utf-8"))
        raise TemplateError(f"there is no worker template {name!r}: no worker_templates/{name}/prompt.md")

    return find


def template_provider(where: Place, config: Config) -> str:
    """The provider that the template in use names; "" without one. A template that cannot be read says so when a
    task is launched."""
    try:
        return template_finder(where)(config.workers.template).provider
    except (TemplateError, OSError, UnicodeDecodeError):
        return ""
