"""Tasks that should not be left to an agent unwatched, found by the words and paths people use for them. A word that
is on a list says nothing for sure: it makes a warning, never a refusal."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from coordinator.domain.planfile import PlanTask
from coordinator.planning.plans.overlap import plain

SHORT_TASK = 400
"""Letters of a description above which a task is more than the mending of a word."""


@dataclass(frozen=True)
class Risk:
    """One kind of task: `words` of its name and description and `paths` of its locations tell it."""

    name: str
    cure: str
    words: re.Pattern[str]
    paths: re.Pattern[str]


def _words(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w-])(?:{'|'.join(patterns)})(?![\w-])", re.IGNORECASE)


def _paths(*patterns: str) -> re.Pattern[str]:
    return re.compile(rf"(?:^|/)(?:{'|'.join(patterns)})", re.IGNORECASE)


WHOLE = r"(?<!.)(?:\.|\*+(?:/\*+)*)$"


SECURITY = Risk(
    "security-sensitive",
    "let a person do it, or have its pull request read line by line before it is merged",
    _words(r"auth[nz]?", r"authenticat\w+", r"authori[sz]\w+", r"passwords?", r"secrets?", r"credentials?",
           r"(?:access|bearer|refresh|session|api) (?:tokens?|keys?)", r"oauth2?", r"jwts?", r"(?:en|de)crypt\w*",
           r"cryptograph\w+", r"certificates?", r"permissions?", r"privileges?", r"csrf", r"xss",
           r"(?:sql|command|code|shell|prompt) injections?",
           r"vulnerabilit\w+", r"cve-\d+-\d+", r"security", r"sandbox\w*"),
    _paths(r"auth(?:[/.]|$)", r"security(?:[/.]|$)", r"secrets?(?:[/.]|$)", r"crypto(?:[/.]|$)",
           r"permissions?(?:[/.]|$)", r"\.env", r"[^/]+\.(?:pem|key|crt|p12)$", r"iam(?:[/.]|$)"),
)  # fmt: skip
ARCHITECTURE = Risk(
    "architectural",
    "decide it first and write the decision into the description; leave to the agent what follows from it",
    _words(r"architectur\w+", r"re-?architect\w*", r"redesign\w*", r"re-?write the \w+", r"from scratch",
           r"breaking changes?", r"public (?:api|interface)", r"new framework",
           r"(?:replace|switch|swap) the framework", r"design (?:a|the) new", r"monorepo", r"microservices?"),
    _paths(r"architecture[^/]*(?:/|$)", r"adrs?/", r"docs/decisions(?:/|$)"),
)  # fmt: skip
BLAST = Risk(
    "of high blast radius",
    "give it a wave of its own, and a validation that runs all the tests",
    _words(r"migrations?", r"schema changes?", r"deploy\w*", r"production", r"rollbacks?", r"infrastructure",
           r"every (?:file|module|service|caller)", r"all (?:files|modules|services|callers)",
           r"(?:across|throughout) the (?:whole |entire )?(?:codebase|repository|repo)",
           r"whole (?:codebase|repository)", r"repo(?:sitory)?-?wide", r"global rename"),
    _paths(r"migrations?(?:/|$)", r"\.github/workflows(?:/|$)", r"\.gitlab-ci\.yml$", r"terraform(?:/|$)",
           r"[^/]+\.tf$", r"k8s(?:/|$)", r"helm(?:/|$)", r"deploy(?:ment|s)?(?:/|$)", r"dockerfile$", WHOLE),
)  # fmt: skip
TYPO = Risk(
    "a typo in a single file",
    "mend it by hand: an agent takes longer than the change",
    _words(r"typos?", r"misspell\w*", r"mis-?spelt", r"spelling", r"trailing whitespace", r"grammar"),
    re.compile(r"(?!)"),
)
HIGH = (SECURITY, ARCHITECTURE, BLAST)


def risks(task: PlanTask) -> Iterator[tuple[Risk, str]]:
    """The kinds of risk that a task shows, each with the word or path that tells it."""
    text = f"{task.name}\n{task.description}"
    for risk in HIGH:
        if told := _told(risk, text, task.location):
            yield risk, told
    typo = _told(TYPO, text, ())
    if typo and len(task.location) == 1 and len(task.description) <= SHORT_TASK:
        yield TYPO, typo


def high_risk(tasks: Sequence[PlanTask]) -> bool:
    return any(risk in HIGH for task in tasks for risk, _ in risks(task))


def _told(risk: Risk, text: str, locations: Sequence[str]) -> str:
    word = risk.words.search(text)
    return word[0] if word else next((path for path in locations if risk.paths.search(plain(path))), "")
