"""A worker that plants programs in git: none runs in a whole life of the coordinator, and a person is told."""

from __future__ import annotations

from tests.support.running import command
from tests.support.yard import Yard


def plants(yard: Yard) -> str:
    """A script that plants and ends well: each program would touch a file of its own."""
    sprung = yard.folder / "sprung"
    sprung.mkdir()
    return f"""\
os.symlink("/etc/passwd", "out")
git("add", "out")
commit()
top = subprocess.run(["git", "rev-parse", "--git-common-dir"], capture_output=True, text=True).stdout.strip()
for name in ("pre-push", "post-checkout", "reference-transaction", "post-index-change"):
    write(f"{{top}}/hooks/{{name}}", f"#!/bin/sh\\ntouch {sprung}/{{name}}\\n")
    os.chmod(f"{{top}}/hooks/{{name}}", 0o755)
for key in ("core.fsmonitor", "core.sshCommand", "diff.external", "filter.evil.clean", "merge.evil.driver",
            "credential.helper", "core.hooksPath"):
    value = f"{{top}}/hooks" if key == "core.hooksPath" else f"touch {sprung}/{{key}};"
    subprocess.run(["git", "config", key, value], check=True)
write(f"{{top}}/info/attributes", "* filter=evil merge=evil\\n")
result()"""


def test_nothing_planted_runs_and_the_pull_request_says_what_was_found(yard: Yard) -> None:
    yard.until_state(yard.issue("Another", script="commit('other.txt'); result()"), "IN_REVIEW")
    assert not [line for line in yard.lines if "changed in git" in line]   # what was there before is the owner's
    number = yard.issue(script=plants(yard))
    task = yard.until_state(number, "IN_REVIEW")
    [said] = [line for line in yard.lines if "changed in git while it ran" in line]
    for name in ("core.fsmonitor in .git/config", ".git/hooks/pre-push", ".git/info/attributes",
                 "filter.evil.clean in .git/config"):
        assert name in said
    [pull] = [one for one in yard.repository.pulls() if one.number == task.pr_number]
    assert "core.fsmonitor in .git/config" in (pull.body or "")
    assert "**Links out of the repository**: `out`." in (pull.body or "")
    yard.ann.merge(pull.number)
    yard.until_state(number, "DONE")
    third = yard.issue("A third", script="write('third.txt', 'x'); result()")   # it starts no git of its own
    other = yard.until_state(third, "IN_REVIEW")
    yard.until(lambda: yard.task(number).tidied)
    assert sum("changed in git" in line for line in yard.lines) == 1
    assert "core.fsmonitor" not in str([one.body for one in yard.repository.pulls() if one.number == other.pr_number])
    assert list((yard.folder / "sprung").iterdir()) == []


def test_a_git_file_that_points_elsewhere_is_said_with_its_cure_and_nothing_of_it_is_used(yard: Yard) -> None:
    elsewhere = yard.folder / "elsewhere"
    script = f"""\
commit()
git("init", "-q", {str(elsewhere)!r})
os.unlink(".git")
write(".git", "gitdir: {elsewhere}/.git\\n")
result()"""
    number = yard.issue(script=script)
    yard.until(lambda: any(".git was changed: it names" in line for line in yard.lines))
    yard.tick()
    assert ".git was changed: it names" in command(yard, "why", str(number)).stdout
    assert any(f"To mend it: git worktree repair {yard.clone}/trees/gh-{number}" in line for line in yard.lines)
    assert yard.repository.pulls() == []
