"""What an agent's own stream says of its end, as pairs of the outcome. Imported only once the agent has ended."""

from __future__ import annotations

import os

from coordinator.runfiles.masking import Masker, secrets_in
from coordinator.runfiles.tongues import OWING
from coordinator.runfiles.verdict import causes, rules
from coordinator.runfiles.verdict.lines import both_ends
from coordinator.runfiles.verdict.reading import read

TYPE_CHECKING = False   # the typing module costs memory beside every agent
if TYPE_CHECKING:
    from typing import Dict, Optional

    from coordinator.runfiles.verdict.reading import Reading
    from coordinator.worker.spec import Spec

_STDERR = 16 << 10
_STATES = {rules.SUCCEEDED: "success", rules.NO_CHANGE: "success", rules.FAILED: "failed", rules.CANCELLED: "killed"}


def judged(spec: Spec, code: Optional[int], number: int, *, worked: bool, by_itself: bool) -> Dict[str, str]:
    """The verdict, unless the wrapper had the last word (not `by_itself`), and what the session used. Nobody asked for
    a change to be committed: a session that ended well is a success without one. Raises OSError."""
    lines, whole = both_ends(spec.path("log"))
    reading = read(lines, spec.speaks)
    pairs = _used(reading, whole=whole)
    if not by_itself:
        return pairs
    case = rules.Case(spec.provider, code, number or None, reading, stderr=_last_words(spec), worked=worked,
                      owes=spec.speaks in OWING, hide=Masker(secrets_in(os.environ)).text)
    verdict = rules.judge(case)
    well = verdict.ending in (rules.SUCCEEDED, rules.NO_CHANGE)
    return {
        **pairs, "state": _STATES[verdict.ending], "judged_by": verdict.judged_by,
        "reason_code": "process_exit" if well else verdict.reason, "words": "" if well else verdict.words,
    }


def told(spec: Spec) -> Dict[str, str]:
    """What a program that prints text and failed says of the cause on its last line; {} when that is no such line.
    Raises OSError."""
    lines, _ = both_ends(spec.path("log"), head=0, tail=_STDERR)
    reading = read(lines, spec.speaks)
    suffix = causes.plain_failure(reading)
    if not suffix:
        return {}
    words = Masker(secrets_in(os.environ)).text(reading.error_text)
    return {"reason_code": causes.code_of(spec.provider, suffix), "words": words[:rules.LONGEST_DETAIL]}


def _used(reading: Reading, *, whole: bool) -> Dict[str, str]:
    """Of a log that was not read whole only the result's own sums count."""
    got, gave, cost = reading.tally.use if whole else reading.tally.said
    found = {"selected_model": reading.model, "session_id": reading.session_id,
             "tokens_in": got, "tokens_out": gave, "cost_usd": cost}
    return {key: str(value) for key, value in found.items() if value not in (None, "")}


def _last_words(spec: Spec) -> str:
    try:
        fd = os.open(spec.path("err"), os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError:
        return ""
    with os.fdopen(fd, "rb") as stream:
        stream.seek(max(0, os.fstat(fd).st_size - _STDERR))
        return stream.read(_STDERR).decode("utf-8", "replace")
