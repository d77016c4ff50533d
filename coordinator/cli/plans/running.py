"""plan run and plan resume: a plan's own coordinator in the foreground, or its request to one that holds the
repository already."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from coordinator.cli.plans.common import File, good
from coordinator.cli.running import say
from coordinator.cli.trouble import NO_PROVIDER, Trouble

if TYPE_CHECKING:
    from coordinator.app import Place
    from coordinator.app.plans import Plan
    from coordinator.config import Config
    from coordinator.domain.planfile import Undertaking

PATIENCE = 10.0
"""Seconds that a coordinator which holds the repository has for its answer."""

Wave = Annotated[int, typer.Option("--wave", min=0, help="Only waves up to this one; 0 = all.")]
Strict = Annotated[bool, typer.Option("--strict-waves", help="A wave starts when the one before is merged whole.")]
Provider = Annotated[str, typer.Option(help="The agent for all tasks.")]
Workers = Annotated[int | None, typer.Option("--max-workers", min=1, help="Workers at once.")]


def add_to(app: typer.Typer) -> None:
    app.command()(run)
    app.command()(resume)


def run(
    plan: File,
    wave: Wave = 0,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    strict_waves: Strict = False,
    provider: Provider = "",
    workers: Workers = None,
) -> int:
    """Work on a plan until nothing of it moves by itself any more; begun before, it goes on where it stood.

    0 when all is delivered (with --wave: merged), 1 when a person is needed, 27 for a plan with errors."""
    made = good(plan)
    config = _configuration(made, provider, workers)
    under = _undertaking(made, config, wave, strict=strict_waves)
    if dry_run:
        from coordinator.app.plans import waves
        from coordinator.cli.views.plan import foreseen

        print("\n".join(foreseen(under, waves(under.plan), config.workers.provider, config.workers.max)))
        return 0
    return _work(made, under, config, again=False, own=bool(provider or workers))


def resume(
    plan: File, wave: Wave = 0, strict_waves: Strict = False, provider: Provider = "", workers: Workers = None
) -> int:
    """Go on with a plan, and try again what was stopped, blocked or failed."""
    made = good(plan)
    config = _configuration(made, provider, workers)
    under = _undertaking(made, config, wave, strict=strict_waves)
    return _work(made, under, config, again=True, own=bool(provider or workers))


def _configuration(made: Plan, provider: str, workers: int | None) -> Config:
    from coordinator import app
    from coordinator.app.config_checks import check_addresses
    from coordinator.app.plans import plan_configuration

    named = {"workers.provider": provider, "workers.max": str(workers) if workers is not None else ""}
    config = plan_configuration(made, os.environ, {key: value for key, value in named.items() if value})
    if config.workers.provider not in app.provider_names():
        known = f"Known are {', '.join(app.provider_names())}."
        raise Trouble(f"there is no provider {config.workers.provider!r}", known, code=NO_PROVIDER)
    check_addresses(config, os.environ)
    return config


def _undertaking(made: Plan, config: Config, wave: int, *, strict: bool) -> Undertaking:
    from coordinator import app
    from coordinator.app.plans import undertaking

    return undertaking(made, config, app.now(), wave=wave, strict=strict)


def _work(made: Plan, under: Undertaking, config: Config, *, again: bool, own: bool) -> int:
    """What was begun goes on where it was begun. `own`: settings for this run were given."""
    from coordinator import app
    from coordinator.app.plans import begun, place_of

    place = place_of(made.file.id, made.path, os.environ)
    known = {one.root: old for one, old in begun(under, place)}
    held = _held(under, known) if place.root not in known else None
    _refuse_twice(under, known, place if held is None else held)
    if held is not None:
        return _hand_over(held, under, again=again, own=own)
    with app.hold(place) as me:
        return _serve(place, under, config, me, again=again)


def _refuse_twice(under: Undertaking, known: Mapping[Path, Undertaking], chosen: Place) -> None:
    """Raises Trouble for a plan that two coordinators would work on: on the same branches, in the same worktrees."""
    for root, old in known.items():
        if old.path != under.path:
            there = Path(old.path).exists()
            raise Trouble(
                f"a plan {under.id} was begun in the same repository from {old.path}"
                + ("" if there else ", which is not there any more"),
                "Give one of the two files another name." if there else
                "Move the file back there to go on with it, or give this one another name.", "Nothing was started.")
        if chosen.root not in known:
            raise Trouble(f"the coordinator of {root} took this plan up, and none runs there now",
                          f"cd {shlex.quote(str(root))} && coordinator run", "It goes on with the plan by itself.")


def _held(under: Undertaking, known: Mapping[Path, Undertaking]) -> Place | None:
    """The repository whose coordinator has the plan, or the plan's one repository, where a coordinator holds it."""
    from coordinator import app

    roots = {Path(delivery.root) for delivery in under.deliveries.values()}
    places = map(app.Place, known or (roots if len(roots) == 1 else ()))
    return next((place for place in places if place.root in roots and app.daemon_pid(place)), None)


def _hand_over(held: Place, under: Undertaking, *, again: bool, own: bool) -> int:
    from coordinator import app
    from coordinator.app.plans import refused, request
    from coordinator.cli.asking import ask

    answer = ask(held, "plan", "", request(under, again=again), PATIENCE)
    if refused(answer):
        raise Trouble(f"the coordinator of {held.root} refused it", "Nothing was started.")
    if not app.daemon_pid(held):
        raise Trouble(f"the coordinator of {held.root} ended meanwhile", "coordinator run goes on with the plan.")
    if own:
        print("--provider and --max-workers are not for it: it works by its own settings")
    print(f"the coordinator of {held.root} works on it: coordinator plan status {shlex.quote(under.path)}")
    return 0


def _serve(place: Place, under: Undertaking, config: Config, me: Mapping[str, str], *, again: bool) -> int:
    from coordinator.app.plans import BadPlanFile, work
    from coordinator.cli.plans.looking import answer

    say(_start_line(under, config))
    try:
        whole = work(place, under, config, os.environ, me, say, again=again)
    except BadPlanFile as error:
        raise Trouble(str(error), "Nothing was started.") from error
    print("\n".join(line.text for line in answer(place, under.id)))
    return 0 if whole else 1


def _start_line(under: Undertaking, config: Config) -> str:
    from coordinator import __version__
    from coordinator.app.walls import words

    names = ", ".join(f"{name or '.'} -> {one.branch}" for name, one in under.deliveries.items())
    return (f"coordinator {__version__} · plan {under.id}, {len(under.plan.tasks)} tasks · {names} · "
            f"{config.workers.max} slots · provider {config.workers.provider} · "
            f"{words(config)}")
