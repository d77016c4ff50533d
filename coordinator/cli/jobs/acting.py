"""start, restart, stop, finalize, set-override, unblock, prune: each does one thing to one job and says what it did."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.jobs.common import FaceContext, JobId, JsonFlag, LogDir, acting, checked, face_of, read_prompt
from coordinator.cli.trouble import USAGE, Trouble

if TYPE_CHECKING:
    from coordinator.app.verbs import Ended, Started
    from coordinator.domain.job import Job


def add_to(app: typer.Typer) -> None:
    app.command(context_settings={"allow_extra_args": True})(start)
    for command in (restart, stop, finalize, prune, unblock):
        app.command()(command)
    app.command("set-override")(set_override)


def start(
    ctx: FaceContext,
    job: JobId,
    prompt_file: Annotated[str, typer.Option("--prompt-file", help="Its whole content is sent to the agent.")],
    provider: Annotated[str, typer.Option(help="Which agent.")] = "",
    repo: Annotated[str, typer.Option(help="The repository, by name or path; makes a missing worktree.")] = "",
    worktree: Annotated[str, typer.Option(help="Where the agent works; without it, here.")] = "",
    model: Annotated[str, typer.Option(help="Instead of the configured one.")] = "",
    pty: Annotated[bool, typer.Option("--pty", help="The agent writes to a terminal.")] = False,
    executor: Annotated[str, typer.Option(help="Where it runs: local.")] = "local",
    log_dir: LogDir = "",
    as_json: JsonFlag = False,
) -> None:
    """Start a job in the background and return. After `--`: the program of the provider `command`."""
    from coordinator.app import verbs

    face = face_of(ctx)
    _plain(repo=repo, worktree=worktree, model=model, prompt_file=prompt_file)
    if executor != "local":
        raise Trouble(f"there is no executor {executor!r}", "Known is local.", code=USAGE)
    if ctx.args and (provider or face.provider) != "command":
        raise Trouble(f"unexpected: {' '.join(ctx.args)}", "A program after -- needs --provider command.", code=USAGE)
    prompt = read_prompt(prompt_file)
    order = verbs.Order(
        job_id=job, provider=provider or face.provider, prompt=prompt, prompt_file=str(Path(prompt_file).absolute()),
        cwd=Path.cwd(), repo=repo, worktree=Path(worktree).absolute() if worktree else None, model=model, pty=pty,
        argv=tuple(ctx.args),
    )  # fmt: skip
    with acting(face, log_dir) as desk:
        _say_started(verbs.start(desk, order), "started", as_json=as_json)


def restart(
    ctx: FaceContext,
    job: JobId,
    pty: Annotated[bool, typer.Option("--pty", help="From now on with a terminal.")] = False,
    preserve_contract: Annotated[
        bool, typer.Option("--preserve-contract", help="Refuse when auth source, model or address changed.")] = False,
    log_dir: LogDir = "",
    as_json: JsonFlag = False,
) -> None:
    """End a job's worker and start it again; logs and outcome step aside, its marks stay."""
    from coordinator.app import verbs

    options = {"--pty": pty, "--preserve-contract": preserve_contract, "--json": as_json}
    by_hand = ", ".join(name for name, given in options.items() if given)
    with acting(face_of(ctx), log_dir, "restart", by_hand=by_hand) as desk:
        recorded = desk.ours(job)
        again = verbs.Again(_prompt_again(recorded), pty=pty, preserve_contract=preserve_contract)
        _say_started(verbs.restart(desk, job, again), "restarted", as_json=as_json)


def _prompt_again(job: Job) -> str:
    """The prompt file as it is now, so that it can be mended; the text as it was sent where the file is gone; "" of a
    job that never was started."""
    from coordinator.runfiles import names

    named, sent = job.meta.get("prompt_file", ""), names.path(job.folder, job.id, "prompt")
    if named and Path(named).exists():
        return read_prompt(named)
    if not Path(sent).exists():
        return ""
    print(f"note: {named or 'the prompt file'} is gone: the prompt is sent as it was", file=sys.stderr)
    return read_prompt(sent)


def _say_started(started: Started, how: str, *, as_json: bool) -> None:
    for note in started.notes:
        print(f"note: {note}", file=sys.stderr)
    if as_json:
        facts = {"beads": started.job_id, "provider": started.provider, "pid": started.pid,
                 "run_instance": started.run_instance, "state": how}
        print(json.dumps(facts, ensure_ascii=False))
    else:
        print(f"{how} {started.job_id} ({started.provider}, pid {started.pid})")


def stop(ctx: FaceContext, job: JobId, log_dir: LogDir = "") -> None:
    """End a job's worker, all of it, and record the outcome."""
    from coordinator.app import verbs

    with acting(face_of(ctx), log_dir, "stop") as desk:
        _say_ended(verbs.stop(desk, job), "stopped")


def finalize(
    ctx: FaceContext,
    job: JobId,
    reason: Annotated[str, typer.Option(help="The reason code to record.")] = "forced_finalization",
    exit_code: Annotated[int, typer.Option("--exit-code", min=0, max=255, help="The exit code to record.")] = 1,
    log_dir: LogDir = "",
) -> None:
    """End a stuck job and record this reason and exit code."""
    from coordinator.app import verbs

    if not reason.replace("_", "").isalnum() or not reason.isascii() or len(reason) > 64:
        raise Trouble(f"{reason!r} is no reason code", "A word of letters, digits and underscores.", code=USAGE)
    with acting(face_of(ctx), log_dir) as desk:
        _say_ended(verbs.finalize(desk, job, reason, exit_code), "finalized")


def _say_ended(ended: Ended, how: str) -> None:
    job = ended.job
    state, code = job.outcome.get("state", "-"), job.outcome.get("exit_code", "-")
    facts = f"{state}:{code} ({job.outcome.get('reason_code', '')})"
    print(f"{how} {job.id}: {facts}" if ended.acted else f"{job.id} had ended before: {facts}; nothing was changed")
    if job.outcome.get("survivors"):
        raise Trouble(f"{job.id}: processes of it live on: {job.outcome['survivors']}",
                      f"kill -9 {job.outcome['survivors'].replace(',', ' ')}", code=3)


def set_override(
    ctx: FaceContext,
    job: JobId,
    no_auto_restart: Annotated[str, typer.Option("--no-auto-restart", metavar="true|false",
                                                 help="Whether the watchdog leaves this job alone.")] = "",
    log_dir: LogDir = "",
) -> None:
    """Switch restarting by itself off or on for one job, or print how it is."""
    from coordinator.app import verbs

    wanted = no_auto_restart.strip().lower()
    if wanted not in ("", "true", "false"):
        raise Trouble(f"--no-auto-restart is {no_auto_restart!r}", "Give true or false.", code=USAGE)
    with acting(face_of(ctx), log_dir) as desk:
        found = verbs.set_override(desk, job, wanted == "true") if wanted else desk.latest(job)
    print(f"override for {found.id}:")
    print(f"no_auto_restart={found.meta.get('no_auto_restart') or 'false'}")


def unblock(
    ctx: FaceContext,
    job: Annotated[str, typer.Argument(metavar="ID")] = "",
    beads: Annotated[str, typer.Option("--beads", "--job", help="The same.")] = "",
    reset_retries: Annotated[bool, typer.Option("--reset-retries", help="Count restarts from 0 again.")] = False,
    log_dir: LogDir = "",
) -> None:
    """Lift a job's block. Nothing is started by it."""
    from coordinator.app import verbs

    name = checked(job or beads)
    with acting(face_of(ctx), log_dir, "unblock", by_hand="--reset-retries" if reset_retries else "") as desk:
        lifted = verbs.unblock(desk, name, reset_retries=reset_retries)
    print(f"{name} is not blocked any more" if lifted else f"{name} was not blocked")
    print(f"next: {face_of(ctx).name} restart --beads {name}")


def prune(
    ctx: FaceContext,
    job: Annotated[str, typer.Option("--beads", "--job", help="This job alone.")] = "",
    log_dir: LogDir = "",
) -> None:
    """Record runs that vanished and remove marks of processes that are gone. Logs and outcomes stay."""
    from coordinator.app import verbs

    with acting(face_of(ctx), log_dir) as desk:
        count = 0
        for line in verbs.prune(desk, checked(job) if job else ""):
            print(line)
            count += 1
    if not count:
        print("nothing to prune")


def _plain(**given: str) -> None:
    """Values that go into run files: no control characters. Raises Trouble."""
    for name, value in given.items():
        if any(ord(letter) < 32 or ord(letter) == 127 for letter in value):
            option = name.replace("_", "-")
            raise Trouble(f"--{option} holds a control character: {value!r}", "Nothing was started.", code=USAGE)
