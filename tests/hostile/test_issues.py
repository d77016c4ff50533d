"""Issues whose words are meant to do harm, through the whole of us: each ends as a plain one does.

All are run once, in one yard; the tests look at what that left.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coordinator.wording.prompt import BODY_LIMIT
from coordinator.wording.shown import shown
from coordinator.wording.shown.invisible import hidden
from coordinator.wording.tasks_md import parse
from tests.hostile.corpus import BLOCKED, ISSUES, SECRET
from tests.support.figures import count
from tests.support.yard import AGENT, Yard, a_yard

LOOK = """prompt = sys.stdin.read()
seen = {"argv": sys.argv, "env": sorted(os.environ), "cwd": os.getcwd(), "prompt": prompt,
        "wrapper": open(f"/proc/{os.getppid()}/cmdline").read().split(chr(0))}
with open(os.path.join(os.path.dirname(__file__), "seen-" + os.path.basename(os.getcwd()) + ".json"), "w") as file:
    json.dump(seen, file)
words = prompt.split(" -----\\n", 1)[1].split("\\n----- end", 1)[0][:3000]
"""
ACT = """commit()
say(words)
if os.path.basename(os.getcwd()) in ASKS: write("BLOCKED.md", words)
result(text=words)
"""

pytestmark = pytest.mark.timeout(400)


@dataclass
class Town:
    """The yard when all is over. `numbers` are the issues by name."""

    yard: Yard
    numbers: dict[str, int]

    def seen(self, name: str) -> dict[str, Any]:
        return json.loads((self.yard.folder / f"seen-gh-{self.numbers[name]}.json").read_text())

    def pull(self, name: str) -> Any:
        [found] = self.yard.repository.pulls(f"rpi/gh-{self.numbers[name]}")
        return found

    def as_plain(self, name: str, text: str) -> str:
        """The text as it would stand for the plain issue; tokens and prompt fences are no part of the question."""
        text = re.sub(rf"\bgh-{self.numbers[name]}\b", f"gh-{self.numbers['plain']}", text)
        text = text.replace(f"issue #{self.numbers[name]}.", f"issue #{self.numbers['plain']}.")
        return re.sub(r"[0-9a-f]{12,}", "HEX", text)


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Town]:
    with a_yard(tmp_path_factory.mktemp("town")) as yard:
        settings = yard.clone / "coordinator.toml"
        text = settings.read_text().replace('provider = "command"', 'provider = "command"\nmax = 12')
        settings.write_text(f"{text}\n[caps]\nsessions_per_day = 0\n")
        yard.close()
        yard.start()
        yard.engine.memory.confirmed = True
        yard.github.limits.creations_a_minute = 1000
        (yard.clone / "STOP").touch()
        numbers = {name: yard.issue(title, body="To come.", labels=("rpi-auto", *labels))
                   for name, (title, _, labels) in ISSUES.items()}
        for name, number in numbers.items():  # past the stand-in's limit of length: another server may have none
            yard.repository.issue(number).body = ISSUES[name][1]
        asks = {f"gh-{numbers[name]}" for name in BLOCKED}
        agent = AGENT.partition("found = ")[0].replace("prompt = sys.stdin.read()\n", LOOK)
        (yard.folder / "agent.py").write_text(f"{agent}ASKS = {asks!r}\n{ACT}")
        yard.tick()
        (yard.clone / "STOP").unlink()
        yard.until(lambda: all(yard.state(number) in ("IN_REVIEW", "BLOCKED") for number in numbers.values()), 120)
        yard.until(lambda: not yard.engine.busy)
        yard.tick()
        yield Town(yard, numbers)


def test_the_corpus_is_large() -> None:
    assert len(ISSUES) >= 60


every = pytest.mark.parametrize("name", ISSUES)


@every
@pytest.mark.req("W17")
def test_command_lines_environment_and_place_are_those_of_a_plain_issue(town: Town, name: str) -> None:
    count("hostile issues, each worked on by a whole coordinator")
    plain, seen = town.seen("plain"), town.seen(name)
    assert seen["argv"] == plain["argv"]
    assert seen["env"] == plain["env"]
    assert town.as_plain(name, seen["cwd"]) == plain["cwd"]
    theirs = [town.as_plain("plain", word) for word in plain["wrapper"]]
    assert [town.as_plain(name, word) for word in seen["wrapper"]] == theirs


@every
@pytest.mark.req("P65", "W17")
def test_the_prompt_is_the_template_with_the_words_as_data(town: Town, name: str) -> None:
    def frame(of: str) -> tuple[str, str]:
        prompt = re.sub(r"(?s)(----- begin (\w+) -----\n).*(\n----- end \2 -----)", r"\1\3", town.seen(of)["prompt"])
        prompt = re.sub(r"\n\n\((Hidden text was removed|The \w+ was cut): .*(\n\(The \w+ was cut: .*)*", "", prompt)
        head, _, tail = town.as_plain(of, prompt).partition("----- end HEX -----")
        return head, tail

    assert frame(name) == frame("plain")
    assert shown(ISSUES[name][1], BODY_LIMIT).text in town.seen(name)["prompt"]


@every
@pytest.mark.req("W17")
def test_nothing_reaches_the_agent_that_people_did_not_see_and_it_hears_that_something_was_there(
    town: Town, name: str
) -> None:
    prompt, body = town.seen(name)["prompt"], ISSUES[name][1]
    assert SECRET not in prompt
    assert not {char for char in prompt if hidden(char)}
    assert (SECRET not in body) or "(Hidden text was removed: " in prompt
    assert ("shown" not in body) or body in prompt


@every
def test_each_ends_as_it_must_on_its_own_branch(town: Town, name: str) -> None:
    number = town.numbers[name]
    task = town.yard.task(number)
    ended = ("BLOCKED", "needs_human") if name in BLOCKED else ("IN_REVIEW", "pr_open")
    assert (str(task.state), task.reason) == ended
    assert (task.branch, task.worktree, task.attempts) == (f"rpi/gh-{number}", f"trees/gh-{number}", 1)
    assert (task.provider, task.model, task.priority) == ("command", "", 2)
    assert town.yard.repository.files(task.branch) == ["README.md", f"gh-{number}.txt", "src/widget.py"]


def test_nothing_stands_where_only_hostile_words_would_have_put_it(town: Town) -> None:
    yard = town.yard
    assert [path for path in yard.folder.rglob("*") if "pwned" in path.name] == []
    assert not Path("pwned").exists()
    ids = {f"gh-{number}" for number in town.numbers.values()}
    assert {path.name for path in (yard.clone / "trees").iterdir()} == ids
    assert set(yard.repository.branches()) == {"main", *(f"rpi/{one}" for one in ids)}
    assert {task.id for task in yard.engine.world.store.tasks()} == ids


def test_tasks_md_still_holds_each_task_once_and_asks_for_nothing(town: Town) -> None:
    text = town.yard.read("tasks.md")
    found = [line.id for _, line in parse(text).lines()]
    assert sorted(found) == sorted(f"gh-{number}" for number in town.numbers.values())
    town.yard.tick()
    assert town.yard.read("tasks.md") == text
    assert town.yard.engine.world.store.requests() == ()


@every
def test_what_we_write_pings_nobody_and_shows_no_marker_but_ours(town: Town, name: str) -> None:
    number = town.numbers[name]
    written = town.yard.comments(number)
    assert len(written) == 2
    for body in written:
        assert re.findall(r"<!--.*?-->", body) == [body.partition("\n")[0]]
        assert body.startswith(f"<!-- coordinator:gh-{number}:")
    if name not in BLOCKED:
        pull = town.pull(name)
        assert "\n" not in pull.title
        assert pull.title.isprintable()
        assert 0 < len(pull.title) <= 256
        written.append(pull.body)
    for body in written:
        assert not re.search(r"(?<![\w`/])@[A-Za-z]", re.sub(r"(?s)(`{3,})\n.*?\n\1", "", body))


def test_merging_all_of_it_closes_each_ones_own_issue_and_no_other(town: Town) -> None:
    """Last, because it ends them. The bystander has no pull request merged."""
    yard = town.yard
    keyword = re.compile(r"(?i)\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?):?\s+(?:#|gh-|https?://|[\w.-]+/[\w.-]+#)\d*")
    for name in ISSUES:
        if name not in BLOCKED | {"bystander"}:
            pull = town.pull(name)
            assert keyword.findall(pull.title) == []
            assert keyword.findall(pull.body) == [f"Closes #{town.numbers[name]}"]
            yard.ann.merge(pull.number)
    closed = {issue.number for issue in yard.repository.issues() if issue.state == "closed"}
    assert closed == {town.numbers[name] for name in ISSUES if name not in BLOCKED | {"bystander"}}
