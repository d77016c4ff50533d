"""Workers on one other host: `ports.Executor` by way of its far end.

A look never waits for the host where a thread keeps the mirror fresh. A run counts as ended only when everything it
left is home; whatever could not be asked is Unknown, since it was first asked in vain.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from enum import StrEnum
from pathlib import Path
from typing import Any

from coordinator.adapters.executors import launch, output
from coordinator.adapters.executors.remote.departure import Departure
from coordinator.adapters.executors.remote.homecoming import HOMEWARD, Ended, Homecoming
from coordinator.adapters.executors.remote.link import Link, NotAsked, born_into
from coordinator.adapters.executors.remote.mirror import Mirror
from coordinator.adapters.executors.remote.probe import FarProbe
from coordinator.adapters.executors.remote.recall import Recall, owes
from coordinator.adapters.executors.remote.starters import Starter
from coordinator.adapters.executors.views import view_of
from coordinator.domain.parcel import Inbound
from coordinator.domain.room import Room
from coordinator.domain.worker import Exited, HostState, Missing, Running, Unknown, Waiting, WorkerView
from coordinator.ports import Away, Clock, Handle, LaunchFailed, LaunchSpec, Quarters, StopOrder
from coordinator.runfiles import names
from coordinator.runfiles.lock import Busy

CLAIMED_WITHIN = timedelta(seconds=60)
"""A start that no wrapper has claimed after this never will be."""
_ROUNDS = 16
"""Messages of one look: what is printed faster than it is fetched is no reason never to come to an end."""
_FRESH = timedelta(seconds=60)
_FINAL = (Exited, Missing)
_TIDY_EVERY = timedelta(days=1)
_SEARCHING = 900.0
"""Seconds for a far end that looks through every file of worktrees."""


@dataclass(frozen=True)
class Manner:
    """How one host is used; `kind` is the executor's name. `shared`: it sees our files. A running worker is looked at
    `every` seconds, a host without one each `idle` seconds. `limit`: bytes of work that are taken home at most; `keep`:
    seconds for which what ended runs left there stays."""

    kind: str = "ssh"
    shared: bool = False
    every: float = 2.0
    idle: float = 30.0
    limit: int = 1 << 30
    keep: float = 30 * 86400.0
    tuning: Mapping[str, str] | None = None


class Looks(StrEnum):
    """When a host is asked: by a thread of its own, when a look is due, or never: then what is home tells."""

    BY_THREAD = "thread"
    WHEN_DUE = "due"
    NEVER = "never"


class RemoteExecutor:
    """`jobs` is where the mirror lies, `ours` this process's environment. A host that is `shut` to work is not asked
    for anything but the workers it has."""

    def __init__(self, name: str, link: Link, jobs: Path, *, wake: Callable[[str], None], clock: Clock,
                 ours: Mapping[str, str], manner: Manner | None = None, looks: Looks = Looks.BY_THREAD,
                 shut: Callable[[], bool] = lambda: False,
                 starter: Starter | None = None) -> None:
        self.name = name
        self._link, self._jobs, self._clock, self._wake = link, jobs.absolute(), clock, wake
        self._manner, self._starter, self._ours = manner or Manner(), starter, ours
        self._departure = Departure(name, link, self._jobs, starter, self._manner.tuning or {})
        self._homecoming = Homecoming(link, self._manner.limit, clock)
        self._recall = Recall(self._mirror, self._order, starter, owing=owes(self._jobs, name))
        # by any thread, under the guard
        self._guard = threading.Lock()
        self._views: dict[Handle, WorkerView] = {}
        self._begun: set[Handle] = set()   # since the look began, whose answer may be older
        self._state = HostState()
        # by the thread whose turn it is to look; others read what it put there last
        self._turn = threading.Lock()
        self._live: dict[Handle, int] = {}
        self._ended: list[Ended] = []
        self._bringing = False
        self._looked_at: datetime | None = None
        self._heard_at: datetime | None = None
        self._tidied_at: datetime | None = None
        self._over = threading.Event()
        self._hurry = threading.Event()
        self._thread: threading.Thread | None = None
        self._looks, self._shut = looks, shut

    # --- starting -----------------------------------------------------------------------------------

    def quarters(self, handle: Handle, worktree: Path, repository: str) -> Quarters:
        try:
            facts = self._link.facts()
            probe, environ = FarProbe(self._link, self._ours), born_into(self._link, self._ours)
            prompt = Path(names.path(str(facts.jobs / handle.provider), handle.job, "prompt"))
            if self._manner.shared:
                return Quarters(worktree, prompt, probe, environ, facts.uid == 0, executor=self._manner.kind)
            said, _ = self._link.ask("had", repo=repository, job=handle.job)
        except NotAsked as away:
            self._note_away(away.words)
            raise LaunchFailed("host_lost", away.words) from away
        return Quarters(Path(said["path"]), prompt, probe, environ, facts.uid == 0, apart=True, repository=repository,
                        had=tuple(said["commits"]), executor=self._manner.kind)

    def submit(self, spec: LaunchSpec) -> int:
        """See ports.Executor."""
        mirror = self._mirror(spec.handle)
        try:
            pid = self._departure.leave(mirror, spec)
        except NotAsked as away:
            self._note_away(away.words)
            raise LaunchFailed("host_lost", away.words) from away
        except Busy as busy:
            raise LaunchFailed("launch_failed", f"{busy}; nothing was started") from busy
        except (names.ForeignFolder, ValueError) as wrong:
            raise LaunchFailed("launch_failed", str(wrong)) from wrong
        mirror.note("waiting" if self._starter else "running", self._clock.now())
        with self._guard:
            self._views[spec.handle] = Waiting("it is being started")
            self._begun.add(spec.handle)
        self._hurry.set()
        return pid

    # --- looking ------------------------------------------------------------------------------------

    def look(self, handles: Sequence[Handle]) -> Mapping[Handle, WorkerView]:
        with self._guard:
            for handle in handles:
                if handle not in self._views:
                    self._views[handle] = self._first(handle)
            for known in set(self._views) - set(handles):
                del self._views[known]
        if self._looks is Looks.WHEN_DUE:
            self._look_if_due()
        elif self._looks is Looks.BY_THREAD and self._thread is None:
            self._thread = threading.Thread(target=self._go_on_looking, name=f"look-{self.name}", daemon=True)
            self._thread.start()
        with self._guard:
            return {handle: self._while_fresh(self._views.get(handle) or self._first(handle)) for handle in handles}

    def _while_fresh(self, view: WorkerView) -> WorkerView:
        """While one look takes long, for another's work is on its way home, nobody is judged by an old heartbeat, and
        nobody's lease runs by one question in vain: the host is not asked again before the way home has ended."""
        now = self._clock.now()
        if isinstance(view, Unknown) and self._bringing:
            return replace(view, since=now)
        if self._heard_at is None or not isinstance(view, Running) or abs(now - self._heard_at) < _FRESH:
            return view
        return Unknown(f"{self.name} was not looked at since {self._heard_at:%H:%M:%S} UTC", now)

    def _first(self, handle: Handle) -> WorkerView:
        """Before the host was asked: what is home tells, and that nobody was ever asked."""
        mirror = self._mirror(handle)
        try:
            if not mirror.asked():
                return Missing(started=False)
            done = mirror.pairs("outcome")
            if done:
                return view_of({}, lambda: done)
            if mirror.pairs("seen").get("state") == "missing":
                return Missing(started=True)
        except OSError as error:
            return Unknown(f"{error.strerror}: {error.filename}", self._clock.now())
        return Unknown(f"{self.name} was not asked yet", self._clock.now())

    def _look_if_due(self) -> None:
        """Never raises. What goes wrong here, a full disk or a fault of ours, says nothing of the host: its workers are
        unknown as of now, and no lease runs out by it."""
        try:
            self._refresh_if_due()
        except Exception as error:  # noqa: BLE001 - whatever it is, the next look may do better; it is not silent
            words = f"{self.name} cannot be looked at from here: {type(error).__name__}: {error}"
            for handle in self._running():
                self._settle(handle, Unknown(words, self._clock.now()))

    def _refresh_if_due(self) -> None:
        now, known = self._clock.now(), self._looked_at
        with self._guard:
            waiting = self._state.ending or any(not isinstance(view, _FINAL) for view in self._views.values())
        if not waiting and self._shut() and not self._recall.owing():
            return
        every = self._manner.every if waiting else self._manner.idle
        if known is None or not timedelta(0) <= now - known < timedelta(seconds=every):
            self.refresh()

    def _go_on_looking(self) -> None:
        while not self._over.is_set():
            self._look_if_due()
            self._hurry.wait(min(1.0, self._manner.every))
            if self._hurry.is_set():
                self._hurry.clear()
                self._looked_at = None

    def refresh(self) -> None:
        """Asks the host once for all runs that are looked for, and brings home what is new."""
        with self._turn:
            with self._guard:
                wanted = tuple(handle for handle, view in self._views.items() if not isinstance(view, _FINAL))
                self._begun.clear()
            self._looked_at = self._clock.now()
            try:
                if self._starter is not None:
                    self._starter.ask([self._mirror(handle) for handle in wanted])
                for _ in range(_ROUNDS):
                    if not self._look_once(wanted):
                        break
                self._come_home()
            except (Away, LaunchFailed) as away:
                self._note_away(away.words)

    def _look_once(self, wanted: Sequence[Handle]) -> bool:
        """Whether more of the output waits. Raises Away, LaunchFailed."""
        self._ended, owed = [], self._recall.begin()
        mirrors = [self._mirror(handle) for handle in wanted]
        asked = [{"provider": one.handle.provider, "job": one.handle.job, "token": one.handle.token, **one.sizes()}
                 for one in mirrors]
        said, blobs = self._link.ask("look", jobs=asked, begun=self._starter is not None)
        now = self._clock.now()
        skew = float(said["now"]) - now.timestamp()
        live = {Handle(one["provider"], one["job"], one["token"], self.name): one["fence"] for one in said["live"]}
        kept = tuple(live) if self._starter is None or not live else self._starter.live(tuple(live))
        self._live = {handle: live[handle] for handle in kept}
        self._recall.look(owed, live, kept, wanted)
        self._found(HostState(met=True, ending=self._recall.ending(), room=self._room(said["room"])))
        more = False
        for at, mirror in enumerate(mirrors):
            if mirror.handle in self._begun:
                continue
            answer, log, err = said["jobs"][at], blobs[2 * at], blobs[2 * at + 1]
            try:
                more = self._take(mirror, answer, asked[at], {"log": log, "err": err}, said["boot"], skew) or more
            except (OSError, Busy) as error:   # its own files here
                self._settle(mirror.handle, Unknown(f"its files here: {error}", now))
        self._heard_at = now
        self._recall.tell(now)
        self._heed_notes(mirrors)
        self._tidy(now, wanted)
        return more

    def _room(self, told: Mapping[str, Any]) -> Room:
        """Of a host that only hands its work on to nodes, memory and load say nothing."""
        room = Room(**told)
        return room if self._starter is None else replace(room, memory=None, load=None)

    def _tidy(self, now: datetime, wanted: Sequence[Handle]) -> None:
        """Once a day what is old there goes. Raises Away."""
        if self._tidied_at is None or now - self._tidied_at >= _TIDY_EVERY:
            self._tidied_at = now
            with suppress(LaunchFailed):   # no word on whether it can work
                self._link.ask("tidy", keep=self._manner.keep, wanted=[handle.job for handle in wanted])

    def make_room(self, host: str, jobs: Sequence[str]) -> int:
        del host   # this one
        if not jobs:
            return 0
        said, _ = self._link.ask("tidy", timeout=_SEARCHING, keep=0, wanted=[], only=list(jobs))
        return int(said["gone"])

    def _heed_notes(self, mirrors: Sequence[Mirror]) -> None:
        """A STOP file in the worktree here, for a worker in one there; and what the starter orders. Raises Away."""
        for mirror in mirrors:
            meta = mirror.pairs("meta")
            order = self._starter.order(mirror) if self._starter is not None else None
            if meta.get("sent") and meta.get("worktree") and (Path(meta["worktree"]) / "STOP").exists():
                order = StopOrder("manual_stop", f"STOP file in {meta['worktree']}")
            if order is not None and not mirror.heeded():
                with suppress(LaunchFailed):   # the host answers: it is told at the next look
                    self._order(mirror.handle, order, fence=0)
                    mirror.heed(order.reason)

    def _take(self, mirror: Mirror, answer: Mapping[str, Any], had: Mapping[str, Any], pieces: Mapping[str, bytes],
              boot: str, skew: float) -> bool:
        """Takes in what the far end said of one run. Whether more of its output waits there. Raises Away."""
        handle, now = mirror.handle, self._clock.now()
        if answer.get("trouble"):
            before = self._views.get(handle)
            since = before.since if isinstance(before, Unknown) else now
            self._settle(handle, Unknown(f"{self.name}: {answer['trouble']}", since))
            return False
        with mirror.locked():
            if not mirror.ours():   # given up meanwhile; another run may have its place here
                return False
            for kind, piece in pieces.items():
                if mirror.sizes()[kind] == had[kind]:   # else another process has fetched it too
                    mirror.append(kind, piece)
            mirror.put("heartbeat", answer["beat"], skew)
        home = mirror.sizes()
        more = any(home[kind] < size for kind, size in zip(("log", "err"), answer["sizes"], strict=True))
        view = self._view(mirror, answer, boot, now)
        if isinstance(view, _FINAL) and view != Missing(started=False):
            if not more:
                self._ended.append(Ended(mirror, view, answer["outcome"], skew))
                self._settle(handle, HOMEWARD)   # it may take long, and nobody is to take it for stalled
                return False
            view = HOMEWARD
        self._say(mirror, view)
        return more

    def _come_home(self) -> None:
        """Last of all in a look, for it may take long; what goes wrong with one says nothing of the others. Raises
        NotAsked."""
        self._bringing = bool(self._ended)
        try:
            for run in self._ended:
                began = self._clock.now()
                self._bring(run)
                self._spare(run.mirror.handle, max(self._clock.now() - began, timedelta(0)))
        finally:
            self._bringing = False

    def _spare(self, brought: Handle, by: timedelta) -> None:
        """So long nobody was asked for the others: no lease of theirs runs by it."""
        self._homecoming.spare(brought, by)
        now = self._clock.now()
        with self._guard:
            for handle, view in self._views.items():
                if isinstance(view, Unknown) and handle != brought:
                    self._views[handle] = replace(view, since=min(view.since + by, now))

    def _bring(self, run: Ended) -> None:
        try:
            view = self._homecoming.bring(run)
            if isinstance(view, Unknown):
                self._note_unknown(run.mirror, view)
                self._settle(run.mirror.handle, view)
            else:
                self._say(run.mirror, view)
        except (OSError, Busy) as error:   # its own files here
            self._settle(run.mirror.handle, Unknown(f"its files here: {error}", self._clock.now()))

    def _say(self, mirror: Mirror, view: WorkerView) -> None:
        """To readers here and to whoever looks."""
        state = {Waiting: "waiting", Running: "running", Exited: "ended", Missing: "missing"}.get(type(view), "running")
        self._note(mirror, state, self._clock.now(), words=view.reason if isinstance(view, Waiting) else "")
        self._settle(mirror.handle, view)

    def _view(self, mirror: Mirror, answer: Mapping[str, Any], boot: str, now: datetime) -> WorkerView:
        beat = mirror.pairs("heartbeat") if answer["beat"] else {}
        elsewhere = self._starter is not None   # on a node, of which the far end cannot tell who lives
        view: WorkerView = view_of(
            beat, lambda: dict(answer["outcome"]), alive=lambda *_: elsewhere or bool(answer["alive"]),
            boot=lambda: boot)
        if view == Missing(started=False) and answer["under_way"]:
            return Waiting("it is being started")
        if self._starter is not None:
            return self._starter.judged(mirror, view, now)
        if view == Missing(started=False):
            if answer["laid"] and now - mirror.laid_at() < CLAIMED_WITHIN:
                return Waiting("it is being started")
            if not answer["laid"] and mirror.pairs("heartbeat"):
                return self._strange(mirror, now)
            return Missing(started=bool(answer["blank"]))
        return view

    def _strange(self, mirror: Mirror, now: datetime) -> Unknown:
        """It was heard of before: another machine answers, or another folder is asked, and the worker may live."""
        before = self._views.get(mirror.handle)
        since = before.since if isinstance(before, Unknown) else now
        return Unknown(f"{self.name} knows nothing of it any more: does its address lead to another machine, or did "
                       f"its workdir change? {self._link.facts().folder} was looked at", since)

    def _settle(self, handle: Handle, view: WorkerView, asked: HostState | None = None) -> bool:
        """Whether it is so now. Any thread may find the host away: what a look has found to be over stays so, and of
        what was `asked` for when the host was found so nothing is said once somebody has asked anew."""
        with self._guard:
            before = self._views.get(handle)
            stays = before is None or (isinstance(before, _FINAL) and not isinstance(view, _FINAL)) \
                or (asked is not None and asked is not self._state)
            if not stays:
                self._views[handle] = view
        if not stays and type(before) is not type(view):
            self._wake("exit")
        return not stays

    def _found(self, state: HostState) -> None:
        with self._guard:
            before, self._state = self._state, state
        if before != state:
            self._wake("host")

    def _note_away(self, words: str) -> None:
        """The host could not be asked: every run on it is unknown since it was first asked in vain. When it was last
        heard of is another time: we may have been away ourselves since."""
        with self._guard:
            before = self._state
            since = before.away_since or self._clock.now()
            state = self._state = HostState(since, words, ending=before.ending)
        for handle in self._running():
            mirror = self._mirror(handle)
            if self._settle(handle, Unknown(words, since), state):
                self._note_unknown(mirror, Unknown(words, since))
        if before.away_since is None:
            self._wake("host")

    def _note_unknown(self, mirror: Mirror, view: Unknown) -> None:
        self._note(mirror, mirror.pairs("seen").get("state") or "waiting", mirror.heard_at() or view.since,
                   away_since=view.since, words=view.reason)

    def _note(self, mirror: Mirror, state: str, at: datetime, *, away_since: datetime | None = None,
              words: str = "") -> None:
        with mirror.locked():
            if mirror.ours():
                mirror.note(state, at, away_since=away_since, words=words)

    def _running(self) -> list[Handle]:
        with self._guard:
            return [handle for handle, view in self._views.items() if not isinstance(view, _FINAL)]

    # --- stale workers ------------------------------------------------------------------------------

    def give_up(self, handle: Handle) -> None:
        mirror = self._mirror(handle)
        if mirror.asked():
            try:
                with mirror.locked():
                    mirror.note("given_up", mirror.heard_at() or self._clock.now(), away_since=self._clock.now())
            except Busy as busy:
                raise Away(str(busy)) from busy
            self._recall.owe(handle)
        with self._guard:
            self._views.pop(handle, None)

    # --- ending -------------------------------------------------------------------------------------

    def stop(self, handle: Handle, order: StopOrder) -> None:
        """The order lies there before Slurm's own signal comes. Raises Away."""
        self._order(handle, order, fence=0)
        if self._starter is not None:
            mirror = self._mirror(handle)
            mirror.heed(order.reason)
            self._starter.stop(mirror, order)
        self._hurry.set()

    def _order(self, handle: Handle, order: StopOrder, fence: int) -> None:
        self._link.ask("stop", provider=handle.provider, job=handle.job, token=handle.token, fence=fence,
                       order=launch.order_of(handle.token, order))

    def reap(self) -> tuple[tuple[int, int], ...]:
        return ()

    def sweep(self, handle: Handle) -> tuple[int, ...]:
        return self._homecoming.survivors(handle)

    def live(self) -> tuple[Handle, ...]:
        """As the host last said."""
        return tuple(self._live)

    # --- what is home -------------------------------------------------------------------------------

    def fetch(self, handle: Handle) -> Inbound | None:
        return self._mirror(handle).inbound()

    def taken_in(self, handle: Handle) -> None:
        self._mirror(handle).drop_parcel()

    def hosts(self) -> Mapping[str, HostState]:
        """What was given up since the last look may still have to end there."""
        return {self.name: replace(self._state, ending=self._recall.ending())}

    def paths(self, handle: Handle) -> tuple[Path, Path]:
        mirror = self._mirror(handle)
        return mirror.path("log"), mirror.path("err")

    def prompt_path(self, handle: Handle) -> Path:
        return self._mirror(handle).path("prompt")

    def log_tail(self, handle: Handle, limit: int = 65536) -> bytes:
        return output.both(*self.paths(handle), limit)

    def close(self) -> None:
        """Lets go of everything; the workers run on."""
        self._over.set()
        self._hurry.set()
        if self._thread is not None:
            self._thread.join(timeout=5.0)

    def _mirror(self, handle: Handle) -> Mirror:
        return Mirror(self._jobs, replace(handle, host=self.name))
