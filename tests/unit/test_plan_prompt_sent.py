"""What a worker of a plan is really started with."""

from __future__ import annotations

from pathlib import Path

import pytest

from coordinator.ports import LaunchSpec
from coordinator.wording.prompt import Template, parse_template
from tests.support.fakes import Script
from tests.support.plan_world import Underway, a_plan, changed

TEMPLATES = Path(__file__).parents[2] / "worker_templates"


def template(name: str) -> Template:
    folder = TEMPLATES / name
    return parse_template(name, (folder / "template.toml").read_text(), (folder / "prompt.md").read_text())


@pytest.mark.req("A13", "A16", "A17", "B43")
def test_a_worker_of_a_plan_is_started_with_this_prompt() -> None:
    under = changed(changed(a_plan({"T1": [], "T2": ["T1"]}), "T1", beads="bd-7.1"), "T2", validation="`make test`")
    way = Underway(under)
    prompts: dict[str, LaunchSpec] = {}

    def script(spec: LaunchSpec) -> Script:
        prompts[spec.handle.job] = spec
        return Script(seconds=1)

    way.outside.executor.scripts = script
    way.engine.world.template = template
    way.run()
    first, second = prompts["plan-auth-t1"], prompts["plan-auth-t2"]
    assert f"1. `cd {first.cwd}`: your worktree, on branch `rpi/plan-auth-t1`." in first.prompt
    assert "- Plan: /w/auth-plan.md (Better auth)\n- Task: T1: name of T1\n- Dependencies: None\n" in first.prompt
    assert f"       Feature-Key: bd-7.1\n       Agent: {first.handle.provider}\n" in first.prompt
    assert "- Dependencies: T1 (name of T1)\n" in second.prompt
    assert "       Feature-Key: plan-auth-t2\n" in second.prompt
    assert "- Validation: `make test`\n" in second.prompt
