"""The one comment on a batch's umbrella issue when the batch is held: why, the evidence, and what opens it again."""

from __future__ import annotations

from collections.abc import Sequence

from coordinator.wording.comments import Notice
from coordinator.wording.escape import GITHUB_LIMIT, code, cut, fence, marker, quote


def held_notice(name: str, option: str, number: int, why: str, evidence: Sequence[str], *, cause: str = "",
                share: float = 0.0, since: str = "") -> Notice:
    """`number` counts the holds of this batch: there is one comment for each. `option` names it on the command line.
    Lines of tools and agents stand in `why` and `evidence`; they are shown as text."""
    mark = marker("batch", name_in_mark(name), f"held{number}")
    head = f"⏸️ Batch {code(name)} is held{f' since {since}' if since else ''}: its tasks that have not started wait."
    parts = [
        head,
        quote(cut(why, 500)),
        _table(cause, share),
        fence("\n".join(cut(line, 400) for line in evidence)) if evidence else "",
        "Workers that run go on; other batches and single issues are not touched.",
        _cure(option),
    ]
    words = "\n\n".join(part for part in parts if part)
    return Notice(f"held{number}", mark, f"{mark}\n{cut(words, GITHUB_LIMIT - len(mark) - 100)}")


def _cure(option: str) -> str:
    ways = (
        (f"coordinator batch resume {option} --canary", "one task is tried; its success releases the next wave"),
        (f"coordinator batch resume {option}", "all of them go on at once"),
        (f"coordinator batch cancel {option}", "what runs is stopped, what waits is cancelled"),
    )
    first = "**What to do:** mend the cause, then on the host:"
    return "\n".join((first, *(f"- {code(how)}: {what}" for how, what in ways)))


def name_in_mark(name: str) -> str:
    """A label may hold anything: in a hidden mark it must neither end it nor look like another's."""
    return "".join(letter if letter.isalnum() or letter in "._-:" else f"%{ord(letter):x}" for letter in name)


def _table(cause: str, share: float) -> str:
    if not cause:
        return ""
    return f"| cause | share of those that ended |\n|---|---|\n| {code(cause)} | {share:.0%} |"
