"""The plan of the guide on two repositories by the real claude, a scripted model behind it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.gitworld import git
from tests.support.model_server import ModelServer, Turn
from tests.support.plan_yard import make_yard, task
from tests.support.real_parts import CLAUDE, missing

pytestmark = [pytest.mark.skipif(bool(missing(CLAUDE)), reason=missing(CLAUDE)), pytest.mark.timeout(120)]

WORK = """\
key=$(basename "$(dirname "$PWD")"); mkdir -p src && echo "$key" > "src/$key.txt" && git add "src/$key.txt" \
&& git commit -q -m "Add $key" -m "Feature-Key: $key
Agent: claude"
"""
"""The worktree of a plan's task is <task>/<repository>."""


def test_the_plan_of_the_guide_is_done_by_the_real_claude(tmp_path: Path, scripted: ModelServer) -> None:
    scripted.scenarios["plan"] = lambda results, _: Turn("I do my task.", WORK) if not results else Turn("All done.")
    yard = make_yard(tmp_path, "backend", "frontend")
    config = yard.home / "coordinator.toml"
    text = config.read_text().replace('provider = "command"', 'provider = "claude"', 1)
    config.write_text(f'{text}\n[providers.claude]\nbinary = "{CLAUDE}"\n')
    plan = yard.plan(
        task("T1", "Schema", repo="backend", validation="`test -f src/plan-auth-t1.txt`"),
        task("T2", "Form", repo="frontend"),
        task("T3", "Page", on="T1, T2", repo="frontend", validation="`test -f src/plan-auth-t2.txt`"),
    )
    ran = yard.run("plan", "run", str(plan), ANTHROPIC_BASE_URL=scripted.url("plan"), ANTHROPIC_AUTH_TOKEN="dummy",
                   CLAUDE_CODE_MAX_RETRIES="1", CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC="1")
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "lacks" not in ran.stdout
    for repo, files in (("backend", {"plan-auth-t1"}), ("frontend", {"plan-auth-t2", "plan-auth-t3"})):
        listed = git(yard.remote(repo), "ls-tree", "-r", "--name-only", "feature-auth", "src/").splitlines()
        assert set(listed) == {f"src/{name}.txt" for name in files}
    text = plan.read_text()
    assert text.count("- **status**: Completed") == 3
    assert "(claude, " in text
    prompts = str(scripted.seen)
    assert "Dependencies: T1 (Schema), T2 (Form)" in prompts
    assert f"cd {yard.agents}/plan-auth-t3/frontend" in prompts
