"""The main job as stories: a labelled issue becomes a pull request."""

from __future__ import annotations

import pytest

from tests.support.yard import Yard


@pytest.mark.req("F1", "F4", "F5", "F6", "F10", "F11")
def test_a_labelled_issue_becomes_a_pull_request_and_is_tidied_when_merged(yard: Yard):
    number = yard.issue("Make it turn")

    yard.until_state(number, "IN_REVIEW")

    [pull] = yard.repository.pulls()
    assert pull.title == "Make it turn"
    assert f"Closes #{number}" in pull.body
    assert yard.repository.messages(f"rpi/gh-{number}") == ["Do the work"]
    assert any(f"✅ Completed! See PR #{pull.number}" in body for body in yard.comments(number))
    yard.ann.merge(pull.number)
    yard.until_state(number, "DONE")
    yard.until(lambda: not yard.worktree(number).exists())
    assert yard.repository.issue(number).state == "closed"


def test_the_template_names_the_provider_of_tasks_that_name_none(yard: Yard):
    text = yard.read("coordinator.toml").replace('provider = "command"', 'provider = "claude"')
    (yard.clone / "coordinator.toml").write_text(text)
    folder = yard.clone / "worker_templates" / "default"
    folder.mkdir(parents=True)
    (folder / "template.toml").write_text('provider = "command"\n')
    (folder / "prompt.md").write_text("{{ issue.text }}\n{{ stop }}\n")
    yard.close()
    yard.start()
    number = yard.issue()

    assert yard.until_state(number, "IN_REVIEW").provider == "command"
