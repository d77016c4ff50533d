"""run: the coordinator itself. One line an event on stderr; a start line that says what holds."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from coordinator.cli.trouble import NO_CLAIM, NO_PROVIDER, Trouble

if TYPE_CHECKING:
    from collections.abc import Sequence

    from coordinator.app import Place
    from coordinator.config import Config


def add_to(app: typer.Typer) -> None:
    app.command()(run)


def run(
    once: Annotated[bool, typer.Option("--once", help="End when nothing moves by itself any more.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; change nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Take up many labelled issues at the first run.")] = False,
    stop_workers: Annotated[
        bool, typer.Option("--stop-workers", help="End the workers too when this ends; else they run on.")
    ] = False,
    take_over: Annotated[
        bool, typer.Option("--take-over", help="Take the repository from a coordinator elsewhere that is dead.")
    ] = False,
    provider: Annotated[str, typer.Option(help="The agent for tasks that name none.")] = "",
    workers: Annotated[int | None, typer.Option("--max-workers", min=1, help="Workers at once.")] = None,
) -> None:
    """Work on labelled issues until told to end."""
    from coordinator import app
    from coordinator.app.rebuilding import on_a_sound_memory

    place, overrides = app.place(), _overrides(provider, workers)
    config = app.configuration(place, os.environ, overrides)
    _check_provider(config)
    if dry_run:
        _foresee(place, config)
        return
    def serve() -> None:
        if not yes:
            _confirm(place, config)
        runner = app.runner(place, config, os.environ, me, say, once=once)
        runner.memory.confirmed = yes
        if take_over and runner.world.claimant is not None:
            runner.world.claimant.take_over()
        try:
            say(start_line(runner.world, config))
            for words in (*claim_lines(config), *cap_lines(config), *app.checkout_lines(place, config)):
                say(words)
            runner.serve(
                config.poll.jitter,
                lambda: app.reread(place, os.environ, overrides),
                stop_workers=stop_workers,
                once=once,
            )
            if runner.hurried:
                _leave()
            if once and (no := runner.unclaimed):
                raise Trouble(no.words, no.cure, code=NO_CLAIM)
        finally:
            runner.close()

    with app.hold(place) as me:
        on_a_sound_memory(place, say, serve)
        say("ended; workers that still run are found again at the next start")


def say(words: str) -> None:
    """One event: the host's time, then the words on one line."""
    from coordinator import app
    from coordinator.cli.views.fitting import clean

    try:
        print(f"{app.local(app.now()):%H:%M:%S} {clean(words)}", file=sys.stderr, flush=True)
    except OSError:
        return   # the terminal is gone or the disk full: nobody listens, and the work goes on


def _leave() -> NoReturn:
    """Ends at once, as a crash would: threads with effects under way are not waited for, and everything they do is
    found again at the next start."""
    say("ended in a hurry; what was under way is found again at the next start")
    os._exit(0)


def _overrides(provider: str, workers: int | None) -> dict[str, str]:
    named = {"workers.provider": provider, "workers.max": str(workers) if workers is not None else ""}
    return {key: value for key, value in named.items() if value}


def _check_provider(config: Config) -> None:
    from coordinator import app
    from coordinator.app.config_checks import check_addresses, check_ladders
    from coordinator.app.walls import check_walls

    name = config.workers.provider
    if name not in app.provider_names():
        known = f"Known are {', '.join(app.provider_names())}."
        raise Trouble(f"there is no provider {name!r}", known, code=NO_PROVIDER)
    check_ladders(config)
    check_addresses(config, os.environ)
    check_walls(config)


def start_line(world: Any, config: Config) -> str:
    """What holds for this run, limits and lacks included."""
    from coordinator import __version__
    from coordinator.app.walls import words
    from coordinator.config import show_duration

    cap = config.caps.sessions_per_day
    return (
        f"coordinator {__version__} · {world.repository_name} · {config.workers.max} slots · "
        f"poll {show_duration(config.poll.interval)} · provider {config.workers.provider} · "
        f"{words(config)} · " + (f"at most {cap} sessions a day" if cap else "no daily cap of sessions")
    )


def claim_lines(config: Config) -> tuple[str, ...]:
    """What is said aloud where nobody, or not everybody, is kept apart from a second coordinator."""
    if not config.repository.claim:
        return ("repository.claim = false: nobody keeps a second coordinator on another machine apart from this one",)
    if config.repository.fork:
        return (f"the claim lies in {config.repository.fork}: it keeps apart only coordinators that push to that fork",)
    return ()


def cap_lines(config: Config) -> tuple[str, ...]:
    """What is said aloud where a cap cannot see all that is used."""
    from coordinator.app.prices import blind_caps

    return tuple(f"{words} → {cure}" for words, cure in blind_caps(config))


# --- before anything is started -------------------------------------------------------------------------


def _confirm(place: Place, config: Config) -> None:
    """A first run that would take up many issues at once lists them and wants a yes."""
    from coordinator.app import host

    if not _first_run(place):
        return
    _, made = host.foresee(place, config, os.environ)
    many = [held for held in made.held if held.code == "unconfirmed"]
    if many:
        _print_held(many)
        raise Trouble(
            f"this is the first run here, and {len(many)} open issues carry the label {config.labels.auto}",
            "Take the label from those that should wait, then: coordinator run",
            "Or take them all up: coordinator run --yes",
        )


def _first_run(place: Place) -> bool:
    from coordinator import app

    if not place.store.exists():
        return True
    store = app.open_store(place)
    try:
        return not store.tasks()
    finally:
        store.close()


def _print_held(held: Sequence[Any]) -> None:
    from coordinator.cli.views.fitting import clean, cut

    for one in held:
        print(cut(f"#{one.number}  {clean(one.title)}", 110))


def _foresee(place: Place, config: Config) -> None:
    from coordinator.app import host
    from coordinator.cli.views.foreseen import foreseen

    snapshot, made = host.foresee(place, config, os.environ)
    print("\n".join(foreseen(snapshot, made)))
