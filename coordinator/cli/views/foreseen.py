"""`run --dry-run` as lines: what would be done, which issues are held, what the rest waits for. Pure."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

from coordinator.cli.views.fitting import clean

_WORDS = {
    "Poll": "ask GitHub what changed",
    "VetIssue": "ask who set the label and who edited it",
    "Explain": "say there why it is held",
    "Adopt": "make a task of it",
    "Move": "move it",
    "Begin": "start a worker",
    "Prove": "ask a provider for an answer",
    "Prepare": "make its worktree ready",
    "Launch": "start its agent",
    "StopWorker": "stop its worker",
    "Examine": "look at what its worker left",
    "Settle": "settle its attempt",
    "AskApproval": "ask who approved it",
    "Push": "push its branch",
    "Publish": "open its pull request",
    "Tell": "bring its comments and labels up to date",
    "Answer": "answer a request",
    "Flag": "answer a request",
    "Tidy": "remove its worktree",
    "CleanUp": "remove worktrees that are no longer needed",
    "Reclaim": "make room: remove merged worktrees and what is too old",
    "Sweep": "remove what is too old, as every day",
}


def foreseen(snapshot: Any, made: Any) -> list[str]:
    """Lines for people; the last says that nothing was changed."""
    lines = [f"would do    {_action(action)}" for action in made.actions]
    lines += [
        f"held        #{one.number} {clean(one.title)}: {clean(one.words)} → {clean(one.moves)}" for one in made.held
    ]
    lines += [
        f"waits       {task_id}: {clean(wait.words)}" + (f" → {clean(wait.moves)}" if wait.moves else "")
        for task_id, wait in sorted(made.waits.items())
        if wait.code not in ("done", "moving")
    ]
    if snapshot.github_words:
        lines.append(f"GitHub      {clean(snapshot.github_words)} → coordinator doctor")
    return [*(lines or ["nothing to do"]), "Nothing was changed."]


def _action(action: Any) -> str:
    kind = type(action).__name__
    named = {field.name for field in fields(action)}
    task = action.task if "task" in named else None
    words = _WORDS.get(kind, kind)
    if kind == "Move":
        words = f"{action.task.state} -> {action.to}" if action.to else words
        words += f" ({clean(action.reason or action.detail)})" if action.reason or action.detail else ""
    if kind == "Begin":
        words = f"start a worker ({action.provider})"
    if task is not None:
        return f"{task.id} {clean(task.title)[:60]}: {words}"
    if kind == "Explain":
        return f"#{action.number} {words}"
    return f"#{action.issue.number} {words}" if "issue" in named else words
