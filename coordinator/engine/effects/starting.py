"""From intent to a running worker, and the order to stop one."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from errno import ENOSPC
from hashlib import sha256
from pathlib import Path

from coordinator.domain.attempt import Attempt
from coordinator.domain.parcel import Outbound
from coordinator.domain.reasons import provider_reason
from coordinator.domain.task import Task, TaskState
from coordinator.domain.walls import Walls
from coordinator.domain.worker import Exited, Running, Unknown, Waiting
from coordinator.domain.workflow import HANDOFF
from coordinator.engine.effects import guarding, staging
from coordinator.engine.effects.hearing import heard
from coordinator.engine.facts import EffectFailed, Launched, NotStarted, Prepared, StopSent
from coordinator.engine.inheritance import expected
from coordinator.engine.plans import plans_of
from coordinator.engine.world import World
from coordinator.planning import stages
from coordinator.planning.actions import GiveUp, Launch, Prepare, StopWorker
from coordinator.ports import (
    AuthUnresolved,
    Away,
    Command,
    ForeignWorktree,
    GitBusy,
    GitError,
    GitUnreachable,
    Handle,
    LaunchFailed,
    LaunchSpec,
    NotReady,
    Quarters,
    RunSpec,
    Settings,
    StopOrder,
    TryLater,
)
from coordinator.wording.plan_prompt import plan_words
from coordinator.wording.prompt import Template, TemplateError, render_prompt
from coordinator.wording.warnings import paths_words

_NO_ROOM = re.compile(r"No space left on device|Disk quota exceeded|Read-only file system")
NOTES = ("STOP", "BLOCKED.md")
"""Files by which people and workers speak through a worktree; a new attempt begins without them."""


class HookFailed(Exception):
    """An operator's hook ended with an error; its name and the tail of its output are the words."""


def handle_of(attempt: Attempt) -> Handle:
    return Handle(attempt.provider, attempt.task_id, attempt.token, attempt.host)


def watched(tasks: Iterable[Task], attempts: Mapping[str, tuple[Attempt, ...]]) -> dict[str, Handle]:
    """The current attempts that may have a worker, by task. An executor forgets whom it is not asked for: whoever asks
    for one asks for all."""
    return {task.id: handle_of(attempts[task.id][-1]) for task in tasks
            if task.state in (TaskState.PREPARING, TaskState.RUNNING) and attempts.get(task.id)}


def prepare(action: Prepare, world: World) -> Prepared | NotStarted | EffectFailed:
    """A ready worktree on a fresh base, and what was said of the task until now. Raises GitUnreachable, GitBusy, and
    GitError where the disk is full or read-only: nothing was spent, it is tried again."""
    task, attempt = action.task, action.attempt
    now = world.clock.now()
    try:
        said = heard(world, task)
    except TryLater as error:   # of this question alone
        return EffectFailed(action, error.words)
    try:
        repo = world.repo_of(task)
        repo.fetch()
        base, onto, last = bases(world, task)
        if onto:
            repo.feature(onto, base, last)
        tree = repo.ensure_worktree(
            task.id, task.branch, base, fresh=task.fresh, attempt=attempt.number, onto=onto,
            expect=expected(world.store, task),
        )
        for name in NOTES:
            repo.forget_note(task.id, name)
        notes = (*tree.notes, *_own_configuration(world, task, attempt))
        changed = guarding.obeyed(world, task, tree.head_sha, base)
        if changed:
            return NotStarted(task, replace(attempt, head_sha=tree.head_sha), "agent_config", changed, False, now)
        # fresh until its hooks have passed once: the next attempt must not start in a half-made worktree
        _make_buildable(world, task, reused=tree.reused and bool(task.worktree), here=not attempt.host)
        staging.hand_on(world, task, attempt)
    except (GitUnreachable, GitBusy):
        raise
    except ForeignWorktree as error:
        return NotStarted(task, attempt, "foreign_worktree", error.words, True, now)
    except GitError as error:
        if _NO_ROOM.search(error.words):
            raise
        return NotStarted(task, attempt, "worktree_error", error.words, True, now)
    except HookFailed as error:
        return NotStarted(task, attempt, "hook_failed", str(error), False, now)
    return Prepared(task, attempt, tree.base_sha, _shown(world.root, tree.path), notes, now, said,
                    repo.planted(task.id))


def _own_configuration(world: World, task: Task, attempt: Attempt) -> tuple[str, ...]:
    """What an earlier attempt left of it uncommitted is put back; what the operator has copied comes anew."""
    repo = world.repo_of(task)
    names, ref = repo.put_back(task.id, attempt.number)
    if not names:
        return ()
    repo.copy_into(task.id, world.options.copy)
    return (f"agents' configuration was put back to what the branch has: {paths_words(names)}"
            + (f"; what lay there is in {ref}" if ref else ""),)


def bases(world: World, task: Task) -> tuple[str, str, str]:
    """The remote's branch that a task's work goes to in the end, the plan's branch it begins on, and what was merged
    into that last; "" without a plan. Raises GitError."""
    under = plans_of(world.store).get(task.plan) if task.plan else None
    one = under.task_of(task.id) if under is not None else None
    if under is None or one is None:
        return world.options.base or world.repo_of(task).default_branch(), "", ""
    delivery = under.deliveries[one.repo]
    base = delivery.base or world.repo_of(task).default_branch()
    return base, delivery.branch, under.last_merge(one.repo)


def _make_buildable(world: World, task: Task, *, reused: bool, here: bool) -> None:
    """Hooks are run where the agent will run: a host that has a worktree of its own runs them there."""
    options = world.options
    if not reused:
        world.repo_of(task).copy_into(task.id, options.copy)
    if not here:
        return
    if not reused:
        run_hook(world, task, "after_create", options.after_create)
    run_hook(world, task, "before_run", options.before_run)


def run_hook(world: World, task: Task, name: str, command: str) -> None:
    """Raises HookFailed with the tail of the hook's output."""
    if not command:
        return
    ok, tail = world.repo_of(task).run_hook(task.id, command, name, world.options.hook_timeout, hook_env(world))
    if not ok:
        raise HookFailed(f"{name} ({command}): {tail}")


def hook_env(world: World) -> dict[str, str]:
    """The environment of an operator's command in a worktree: an agent wrote what it runs, so no secret is in it."""
    return {key: world.environ[key] for key in ("PATH", "HOME", "LANG", "TMPDIR") if key in world.environ}


def _shown(root: Path, path: Path) -> str:
    """The worktree as people name it: relative to the repository where it lies inside."""
    return str(path.relative_to(root)) if path.is_relative_to(root) else str(path)


def give_up(action: GiveUp, world: World) -> NotStarted:
    """Whatever was started there is nobody's worker; that nothing was, nobody knows."""
    now = world.clock.now()
    world.executor.give_up(handle_of(action.attempt))
    return NotStarted(action.task, replace(action.attempt, launched_at=now), "host_lost", action.words, False, now)


def launch(action: Launch, world: World) -> Launched | NotStarted:
    """Renders the prompt and starts the wrapper; a token that ever started is only recorded, whatever has become of
    its template and settings since, and though the remote cannot be asked. Raises GitError, and OSError where the disk
    is full: it is tried again."""
    task, attempt = action.task, action.attempt
    now = world.clock.now()
    try:
        staging.require(world, task, attempt)
        look = stages.dressed(world.workflows(), world.policy, task)
        template = world.template(look.template)
        spec, command = _specify(world, look, attempt, template)
        try:
            pid = world.executor.submit(spec)
        finally:
            _forget_bundle(world, spec)
    except TemplateError as error:
        return _started(world, task, attempt) or NotStarted(task, attempt, "template_error", str(error), False, now)
    except staging.NoStage as error:
        return _started(world, task, attempt) or NotStarted(task, attempt, "workflow_error", str(error), False, now)
    except NotReady as error:
        return _started(world, task, attempt) or NotStarted(task, attempt, error.reason, error.words, False, now)
    except LaunchFailed as error:
        known = _started(world, task, attempt) if action.met else None
        if known is None and error.reason == "disk_full":   # the task's retries are not for that
            raise OSError(ENOSPC, error.words) from error
        return known or NotStarted(task, attempt, error.reason, error.words, False, now)
    except ValueError as error:
        return _started(world, task, attempt) or NotStarted(task, attempt, "config_error", str(error), False, now)
    except GitError:
        known = _started(world, task, attempt)
        if known is None:
            raise
        return known
    return Launched(task, attempt, pid, attempt.session_id, command.model, now)


def _forget_bundle(world: World, spec: LaunchSpec) -> None:
    if spec.outbound is not None and spec.outbound.bundle is not None:
        world.files.remove(spec.outbound.bundle)


def _started(world: World, task: Task, attempt: Attempt) -> Launched | None:
    """The launch that was never recorded, of a worker that runs, or waits in a queue, though it could not be started
    now. Raises Away where nobody can say."""
    handle = handle_of(attempt)
    others = watched(world.store.tasks(), world.store.attempts()).values()
    view = world.executor.look(tuple({*others, handle})).get(handle)
    if isinstance(view, Unknown):
        raise Away(view.reason)
    if not isinstance(view, (Running, Exited, Waiting)):
        return None
    pid = view.pid if isinstance(view, Running) else 0
    return Launched(task, attempt, pid, attempt.session_id, attempt.model, world.clock.now())


def _specify(world: World, task: Task, attempt: Attempt, template: Template) -> tuple[LaunchSpec, Command]:
    handle = handle_of(attempt)
    where = world.executor.quarters(handle, world.repo_of(task).worktree_path(task.id), _clone_of(world, task))
    probe, cwd = where.probe or world.probe, where.cwd
    environ = world.environ if where.environ is None else where.environ
    previous = staging.previous(world, attempt)
    base, *_ = bases(world, task)
    issue = world.store.issues().get(task.issue) if task.issue is not None else None
    prompt = render_prompt(template, task, attempt, previous, base=base, repository=world.repository_name,
                           url=issue.url if issue is not None else "", plan=_plan(world, task, attempt, cwd),
                           ) + staging.words(world, task, attempt)
    provider = world.providers.get(attempt.provider)
    if provider is None:
        raise ValueError(world.no_provider(attempt.provider))
    given = merged(world.options.providers.get(attempt.provider, Settings()), template, task, attempt)
    choice = provider.choose(probe, given)
    settings = replace(given, model=choice.model)
    known = provider.credentials(probe, settings)
    if known.alone:
        reason = provider_reason(attempt.provider, "auth_missing")
        raise AuthUnresolved(reason, f"{known.source} is good for one job started by hand", "coordinator doctor")
    world.learn(known.env.values())
    command = provider.command(
        RunSpec(
            task_id=task.id,
            attempt=attempt.number,
            prompt=prompt,
            prompt_file=where.prompt,
            output_file=where.prompt.with_suffix(".log"),
            worktree=cwd,
            session_id=attempt.session_id,
            settings=settings,
            environ={**environ, **world.repo_of(task).identity()},
            as_root=os.geteuid() == 0 if where.as_root is None else where.as_root,
            credentials=known,
            stream=True,
        )
    )
    walls = _walls(world, task, attempt, where, command, given)
    contract = {"auth_source": command.auth_source, "model": command.model, **command.facts,
                "provider": attempt.provider, "executor": where.executor}
    spec = LaunchSpec(
        handle=handle,
        worker_id=attempt.worker_id,
        attempt=attempt.number,
        fence=attempt.fence,
        run_id=attempt.run_id,
        argv=command.argv,
        env=command.env,
        cwd=cwd,
        prompt=prompt,
        stdin=command.stdin,
        timeout=template.timeout or world.options.timeout,
        grace=world.options.stop_grace,
        stop_signal=command.stop_signal,
        meta={"repo": str(world.root), "worktree": str(world.repo_of(task).worktree_path(task.id)),
              "model": command.model, "owner": "coordinator", "branch": task.branch,
              "fallback_reason": attempt.fallback_reason or choice.fallback_reason,
              "provider_switch_from": attempt.switch_from, **_recallable(task, attempt)},
        contract=contract,
        speaks=command.speaks,
        outbound=_packed(world, task, where) if where.apart else None,
        hooks=_hooks(world) if where.apart else (),
        walls=walls,
    )
    return spec, command


def _recallable(task: Task, attempt: Attempt) -> dict[str, str]:
    """What the run files must tell of a task whose memory was lost (planning/recall.py)."""
    return {"title": task.title, "base_sha": attempt.base_sha, "host_name": attempt.host, "stage": attempt.stage,
            "workflow": task.workflow}


def _walls(world: World, task: Task, attempt: Attempt, where: Quarters, command: Command,
           given: Settings) -> Walls | None:
    """What the settings' own words name is shown too, the prompt as well. Raises LaunchFailed where walls must be and
    cannot."""
    sandbox = world.options.sandbox
    if sandbox.around is not None and not attempt.host:
        named = [where.prompt, *(Path(word) for word in (*given.argv, *given.args) if word.startswith("/"))]
        cell = world.repo_of(task).wall_in(task.id, attempt.token)
        return sandbox.around(cell, command, [path for path in named if world.files.exists(path)])
    if sandbox.must:
        place = f"host {attempt.host} has" if attempt.host else "this host has"
        raise LaunchFailed("config_error", f'{place} no walls for workers, and sandbox = "bwrap" starts none without')
    return None


def _clone_of(world: World, task: Task) -> str:
    """A name for the clone on another host: as people call the repository, and no other repository's."""
    root = task.repo or str(world.root)
    name = world.repository_name.replace("/", "-") if not task.repo and world.repository_name else Path(root).name
    plain = "".join(char if char.isalnum() and char.isascii() else "-" for char in name).strip("-") or "repository"
    return f"{plain[:40]}-{sha256(root.encode('utf-8', 'surrogateescape')).hexdigest()[:6]}"


def _packed(world: World, task: Task, where: Quarters) -> Outbound:
    """What was copied into the worktree goes along; of what git ignores only the hand-over and people's notes come
    back."""
    extra = (*world.options.copy, HANDOFF)
    packed = world.repo_of(task).pack(task.id, task.branch, had=where.had, extra=extra,
                                      repository=where.repository)
    return replace(packed, extra=(HANDOFF, *NOTES))


def _hooks(world: World) -> tuple[tuple[str, str, float], ...]:
    """A worktree on another host is made anew each time: both hooks are run there."""
    options = world.options
    wanted = (("after_create", options.after_create), ("before_run", options.before_run))
    return tuple((name, command, options.hook_timeout.total_seconds()) for name, command in wanted if command)


def _plan(world: World, task: Task, attempt: Attempt, worktree: Path) -> dict[str, object] | None:
    """What the prompt says of the plan that a task stands in; None for one of no plan."""
    under = plans_of(world.store).get(task.plan) if task.plan else None
    one = under.task_of(task.id) if under is not None else None
    if under is None or one is None:
        return None
    return plan_words(under.plan, one, under.path, worktree=str(worktree), key=under.feature_key(one),
                      agent=attempt.provider)


def merged(settings: Settings, template: Template, task: Task, attempt: Attempt) -> Settings:
    """Settings of coordinator.toml, over them the template's, over them the issue's model label. A provider that stands
    in for another has its own models: what was chosen for the other says nothing to it."""
    return replace(
        settings,
        model=settings.model if attempt.switch_from else task.model or template.model or settings.model,
        max_turns=template.max_turns or settings.max_turns,
        tools=template.tools or settings.tools,
    )


def stop(action: StopWorker, world: World) -> StopSent:
    """Asks the wrapper; it stops the tree politely, then not."""
    world.executor.stop(handle_of(action.attempt), StopOrder(action.reason, action.words, action.hard))
    return StopSent(action.task)


