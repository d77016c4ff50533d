"""The closed list of reason codes: what each means, who can mend it, and what may help.

The names are part of the interface (files, JSON, comments). A code outside this list is a bug.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Mender(StrEnum):
    """Who can do something about it."""

    ITSELF = "itself"
    OPERATOR = "operator"
    AUTHOR = "author"
    PROVIDER = "provider"


@dataclass(frozen=True)
class Reason:
    """`again`: another try can help. `elsewhere`: another provider can help. `counts`: it counts against the
    batch. `charged`: a retry of it uses up the retry budget. `cure` is one sentence for people."""

    code: str
    meaning: str
    mender: Mender
    cure: str
    again: bool = False
    elsewhere: bool = False
    counts: bool = True
    charged: bool = True


_I, _O, _A, _P = Mender.ITSELF, Mender.OPERATOR, Mender.AUTHOR, Mender.PROVIDER

_GENERAL = (
    Reason("process_exit", "the agent's process ended by itself", _I,
           "Read the log; set the retry label to try again.", again=True, elsewhere=True),
    Reason("stalled", "the agent was alive but showed no sign of progress", _I,
           "See where it hung, then set the retry label.", again=True, elsewhere=True),
    Reason("manual_stop", "a person stopped it", _A,
           "Set the retry label when it should go on.", counts=False),
    Reason("max_retries", "it was tried again as often as allowed and failed each time", _O,
           "Read what the attempts ended with, mend the cause, set the retry label."),
    Reason("no_auto_restart", "restarting by itself is switched off for it", _O, "Set the retry label."),
    Reason("no_mutation", "the agent ran for a long time without printing or changing anything", _I,
           "Make the task smaller or clearer, then set the retry label.", again=True, elsewhere=True),
    Reason("max_runtime", "the time limit was reached", _O,
           "Make the task smaller or raise workers.timeout, then set the retry label.", again=True),
    Reason("output_limit", "the agent printed more than a run may (2 GiB), and was stopped before it filled the disk",
           _O, "See in its log what it prints without end, mend that, then set the retry label."),
    Reason("max_turns", "the limit of turns or of money for one session was reached", _O,
           "Make the task smaller or raise the limit, then set the retry label.", again=True),
    Reason("no_credit", "the provider says that there is no credit", _O,
           "Top up the provider's account.", elsewhere=True, counts=False, charged=False),
    Reason("overloaded", "the provider is overloaded", _P, "Nothing; it is tried again later.",
           again=True, elsewhere=True, counts=False, charged=False),
    Reason("network", "the provider could not be reached", _I, "Nothing; it is tried again later.",
           again=True, counts=False, charged=False),
    Reason("lost", "the worker vanished without leaving an outcome", _I, "Nothing; it is tried again.",
           again=True),
    Reason("host_reboot", "the host was restarted while the worker ran", _I, "Nothing; it is tried again.",
           again=True, counts=False, charged=False),
    Reason("host_lost", "the host of the worker was out of reach for longer than its lease", _I,
           "Nothing; it is tried again, elsewhere where there is another host.", again=True, counts=False,
           charged=False),
    Reason("parcel_refused", "what came from its host, or out of its walls, could not be taken in", _O,
           "Look at it there, in the place named below; then set the retry label.", counts=False),
    Reason("slurm_timeout", "Slurm's time limit was reached", _O,
           "Make the task smaller or raise slurm.time, then set the retry label.", again=True),
    Reason("slurm_oom", "the job used more memory than Slurm gave it", _O,
           "Raise slurm.mem or make the task smaller, then set the retry label.", again=True),
    Reason("slurm_node_fail", "the node of the job failed", _I, "Nothing; it is tried again.", again=True,
           counts=False, charged=False),
    Reason("slurm_preempted", "a job of higher priority took the place", _I, "Nothing; it is tried again.",
           again=True, counts=False, charged=False),
    Reason("slurm_cancelled", "the job was cancelled in Slurm, and not by us", _A,
           "Set the retry label when it should go on.", counts=False),
    Reason("slurm_submit_refused", "Slurm refused the job", _O,
           "Mend the setting of [slurm] named below, then set the retry label."),
    Reason("slurm_never_runs", "Slurm accepted the job and will never run it", _O,
           "Mend the setting of [slurm] named below, then set the retry label."),
    Reason("oom_killed", "the worker ran out of memory and was killed", _O,
           "Give it more memory or make the task smaller.", again=True),
    Reason("killed", "the agent was killed from outside (SIGKILL)", _I, "Nothing; it is tried again.", again=True),
    Reason("forced_finalization", "a person ended it by `finalize`", _A,
           "Start it again when it is wanted.", counts=False),
    Reason("start_refused", "its start was refused before anything ran", _O,
           "Mend what the words name, then start it again.", counts=False, charged=False),
    Reason("no_change", "the agent ended well but left no commit: Worker exited without creating PR", _A,
           "Say in the issue what should change, then set the retry label.", counts=True),
    Reason("needs_human", "the agent left BLOCKED.md: it needs a person", _A,
           "Answer its question in the issue, then set the retry label.", counts=False),
    Reason("push_refused", "the remote refused the push of the branch", _O,
           "Look at the branch and its protection, then set the retry label."),
    Reason("merge_conflict", "the work does not merge into its base", _O, "Solve the conflict on the branch."),
    Reason("validation_failed", "the task's own validation did not pass", _I,
           "Read what the validation printed; try again when the cause is mended.", again=True, elsewhere=True),
    Reason("outside_location", "the commits touch files that the task does not name", _A,
           "Name the files in the plan, or have the task done again."),
    Reason("trailers_missing", "a commit lacks its Feature-Key or Agent trailer", _A,
           "Set plans.trailers to warn, or have the task done again."),
    Reason("pushed_by_agent", "the agent pushed its branch by itself", _O,
           "Look at what it pushed, delete the branch on the remote, then try again."),
    Reason("secret_found", "the work contains what looks like a secret, and nothing was pushed", _O,
           "Take it out of the branch's history, or begin anew (`coordinator retry ID --fresh`); renew a secret that "
           "is real. If it is none, `coordinator retry ID --allow` publishes just this."),
    Reason("not_scanned", "the work is too much to be looked through for secrets, and nothing was pushed", _O,
           "Look through it, then `coordinator retry ID --allow` publishes just this."),
    Reason("protected_path", "the work changes protected files, and it was held back", _O,
           "Look at them, then `coordinator retry ID --allow` publishes just this."),
    Reason("submodule_commit", "it names a submodule's commit that is on no remote, and nothing was pushed", _O,
           "Push that commit in the submodule of its worktree; `coordinator retry ID --allow` publishes just this."),
    Reason("lfs_objects", "it commits files of Git LFS, which no push of ours uploads, and nothing was pushed", _O,
           "Upload them (`git lfs push origin BRANCH` in the checkout); `coordinator retry ID --allow` publishes "
           "just this."),
    Reason("agent_config", "its branch changes what agents obey, and none was started on it", _O,
           "Look at these files; `coordinator retry ID --allow` starts with them, `coordinator retry ID --fresh` "
           "without.", counts=False),
    Reason("cap_reached", "a cap of sessions, tokens or money is reached", _O,
           "Raise the cap named below in coordinator.toml, then set the retry label.", counts=False),
    Reason("pr_closed", "a person closed the pull request without merging it", _A,
           "Say what should be different, then set the retry label; or open it again.", counts=False),
    Reason("pr_refused", "GitHub refused to open the pull request", _O,
           "Read GitHub's words below, mend the cause, set the retry label."),
    Reason("contract_drift", "settings changed between attempts in a way that matters", _O,
           "Restore the setting or start the task afresh."),
    Reason("worktree_error", "the worktree could not be made ready", _O,
           "Read git's words below; `coordinator doctor` names the cure.", again=True),
    Reason("foreign_worktree", "a folder or branch that is not ours stands in the worktree's place", _O,
           "Move the folder away or switch the other checkout to another branch, then set the retry label."),
    Reason("hook_failed", "a hook of the repository failed before the agent was started", _O,
           "Mend the hook named below, then set the retry label.", again=True),
    Reason("template_error", "the prompt could not be made from its template", _O,
           "Mend the template named below, then set the retry label."),
    Reason("workflow_error", "its workflow is not there or cannot be used", _O,
           "Mend the file named below, or choose another by its label, then set the retry label.", counts=False),
    Reason("next_stage", "a stage of its workflow is done and the next one follows", _I, "Nothing.", counts=False,
           charged=False),
    Reason("approval", "a stage of its workflow is done and a person must approve what it left", _A,
           "Read what it left, then set the label that approves it.", counts=False, charged=False),
    Reason("gate_failed", "a stage did not leave what it must, or its gate was not passed", _A,
           "Read what failed below, mend its cause, set the retry label.", again=True),
    Reason("changes_needed", "the reviewer wants changes after as many rounds as are allowed", _A,
           "Decide what is right, say it in the issue, set the retry label.", counts=False),
    Reason("config_error", "the provider's settings cannot be used", _O,
           "Mend the setting named below in coordinator.toml, then set the retry label."),
    Reason("internal_error", "a fault of the coordinator itself stood in the way again and again", _O,
           "Report the trace named below; set the retry label after an upgrade.", counts=False, charged=False),
    Reason("store_rebuilt", "the memory was lost, and what became of its earlier work is not known", _O,
           "See what is on its branch, then set the retry label.", counts=False, charged=False),
    Reason("launch_failed", "the worker could not be started", _O, "`coordinator doctor` names the cause.",
           again=True),
    Reason("leaked", "the agent was killed, yet a process of it lives on", _O,
           "End the processes named below by hand, then set the retry label."),
    Reason("disk_full", "the disk is full", _O, "`coordinator clean --dry-run` shows what can go.", again=True),
    Reason("cycle", "its dependencies form a circle", _A,
           "Remove one of the `Depends on` lines or relations named below.", counts=False),
    Reason("label_removed", "the trigger label was removed", _A, "Set the label anew to go on.", counts=False),
    Reason("issue_closed", "the issue was closed", _A, "Reopen the issue and set the label anew.", counts=False),
    Reason("paused", "the issue carries the pause label", _A, "Remove the pause label.", counts=False, charged=False),
    Reason("shutdown", "the coordinator was told to stop its workers", _I, "Nothing; it goes on at the next start.",
           again=True, counts=False, charged=False),
    Reason("merged", "its pull request was merged", _I, "Nothing.", counts=False),
    Reason("pr_open", "its pull request waits for a reviewer", _A, "Review the pull request.", counts=False),
)

_CLASSES: tuple[tuple[str, str, Mender, str, dict[str, bool]], ...] = (
    ("binary_missing", "the program is not installed or not on PATH", _O, "Install it; `coordinator doctor` shows how.",
     dict(elsewhere=True, counts=False, charged=False)),
    ("auth_missing", "no credentials were found", _O, "Set its key or log in; `coordinator doctor` shows how.",
     dict(elsewhere=True, counts=False, charged=False)),
    ("auth_blocked", "the provider refused the credentials", _O, "Renew the key or log in again.",
     dict(elsewhere=True, counts=False, charged=False)),
    ("model_unavailable", "the model is not available", _O, "Choose another model.",
     dict(elsewhere=True, counts=False, charged=False)),
    ("model_unsupported", "the model is not on the list of allowed ones", _O, "Choose an allowed model.",
     dict(elsewhere=True, counts=False, charged=False)),
    ("rate_limited", "the provider's rate limit was hit", _P, "Nothing; it is tried again later.",
     dict(again=True, elsewhere=True, counts=False, charged=False)),
    ("usage_limited", "the provider's usage limit was hit", _P, "Nothing; it is tried again when the limit resets.",
     dict(again=True, elsewhere=True, counts=False, charged=False)),
    ("capacity_exhausted", "the provider has no capacity", _P, "Nothing; it is tried again later.",
     dict(again=True, elsewhere=True, counts=False, charged=False)),
    ("context_exhausted", "the conversation outgrew the model's context", _A, "Make the task smaller.",
     dict(again=True, elsewhere=True)),
    ("permission_denied", "the agent was refused a tool it needed", _O, "Allow the tool in template.toml.", dict()),
    ("protocol_error", "the agent ended without a final result, or its output could not be read", _I,
     "Read the log; set the retry label to try again.", dict(again=True, elsewhere=True)),
)

PROVIDER_NAMES = ("claude", "cc_glm", "opencode", "gemini", "codex", "command")


def _of_providers() -> tuple[Reason, ...]:
    return tuple(
        Reason(f"{name}_{suffix}", f"{name.replace('_', '-')}: {meaning}", mender, cure, **flags)
        for name in PROVIDER_NAMES
        for suffix, meaning, mender, cure, flags in _CLASSES
    )


REASONS: dict[str, Reason] = {reason.code: reason for reason in (*_GENERAL, *_of_providers())}

ALLOWABLE = frozenset({"secret_found", "not_scanned", "protected_path", "submodule_commit", "lfs_objects",
                       "agent_config"})
"""Reasons for which work was held back, and that a person may let pass: at the commit they saw, nothing after it."""

PARKING = tuple(f"{name}_{suffix}" for name in PROVIDER_NAMES
                for suffix in ("rate_limited", "usage_limited", "capacity_exhausted"))
"""Limits of a provider: the provider is parked, the task waits, no retry is used up."""


def reason(code: str) -> Reason:
    """The reason with this code. Raises KeyError for a code outside the list."""
    return REASONS[code]


def provider_reason(provider: str, suffix: str) -> str:
    """The code of a provider's failure class; `cc-glm` is written `cc_glm`. Raises KeyError if there is none."""
    code = f"{provider.replace('-', '_')}_{suffix}"
    return REASONS[code].code
