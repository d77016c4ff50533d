"""What every executor gives, wherever its workers run: one suite, run on each."""

from __future__ import annotations

import os
import signal

import pytest

from coordinator.domain.worker import Exited, Missing, Running
from coordinator.ports import LaunchFailed, StopOrder
from coordinator.runfiles import identity
from tests.support.executor_yard import Yard, ended, seen, view
from tests.support.workers import until


class ExecutorContract:
    """Needs a fixture `yard`. `dead` is what a run is told to be whose wrapper was killed: gone, or, where somebody saw
    how, at its end."""

    dead: type = Missing

    def test_a_run_leaves_its_exit_code_its_output_and_its_figures(self, yard: Yard) -> None:
        executor = yard.executor()
        spec = yard.spec("sh", "-c", "echo out; echo bad >&2; exit 7")
        executor.submit(spec)
        end = ended(executor, spec)
        assert (end.code, end.signal, end.reason, end.survivors) == (7, None, "process_exit", ())
        assert (yard.out(spec), executor.log_tail(spec.handle)) == ("out\n", b"out\nbad\n")
        outcome = yard.pairs(spec, "outcome")
        assert (outcome["state"], outcome["exit_code"], outcome["beads"]) == ("failed", "7", "gh-450")
        assert end.duration_sec > 0
        assert executor.sweep(spec.handle) == ()

    def test_the_prompt_and_the_environment_reach_the_agent_whole(self, yard: Yard) -> None:
        executor = yard.executor()
        code = "import sys, os; b = sys.stdin.buffer.read(); print(len(b), os.environ['WORD'], len(os.environ['LONG']))"
        word = "a b'c\"d\\e $HOME `x` é\nnext"
        prompt = "tree 🌳 \0 \r\n é" * 20_000
        spec = yard.python(code, prompt=prompt, stdin="prompt")
        env = {**spec.env, "WORD": word, "LONG": "x" * 90_000}
        spec = yard.spec(*spec.argv, prompt=prompt, stdin="prompt", env=env)
        executor.submit(spec)
        assert ended(executor, spec).code == 0
        assert yard.out(spec).encode() == f"{len(prompt.encode())} {word} 90000\n".encode()

    def test_a_run_that_is_submitted_twice_starts_once_also_by_another_coordinator(self, yard: Yard) -> None:
        spec = yard.spec("sh", "-c", "echo once; sleep 30")
        first = yard.executor()
        first.submit(spec)
        seen(first, spec, Running)
        first.submit(spec)
        first.close()
        second = yard.executor()
        second.submit(spec)
        seen(second, spec, Running)
        until(lambda: yard.out(spec), "its output")
        assert yard.out(spec) == "once\n"
        second.stop(spec.handle, StopOrder("manual_stop", "enough", hard=True))
        ended(second, spec)

    def test_a_coordinator_that_was_killed_finds_its_worker_and_its_end_again(self, yard: Yard) -> None:
        go = yard.root / "trees" / "gh-450" / "go"
        spec = yard.spec("sh", "-c", f"echo begun; until test -e '{go}'; do sleep 0.05; done; echo done; exit 3")
        first = yard.executor()
        first.submit(spec)
        seen(first, spec, Running)
        first.close()
        second = yard.executor()
        assert isinstance(seen(second, spec, Running), Running)
        assert [one.job for one in second.live()] == ["gh-450"]
        go.touch()
        assert ended(second, spec).code == 3
        assert yard.out(spec) == "begun\ndone\n"
        third = yard.executor()
        assert ended(third, spec).code == 3

    def test_a_run_that_nobody_asked_for_is_missing_for_sure(self, yard: Yard) -> None:
        assert view(yard.executor(), yard.spec("true")) == Missing(started=False)

    def test_a_polite_stop_is_heard_and_a_hard_one_leaves_no_survivor(self, yard: Yard) -> None:
        executor = yard.executor()
        polite = yard.spec("sh", "-c", "trap 'echo asked; exit 5' TERM; echo up; while :; do sleep 0.05; done")
        executor.submit(polite)
        until(lambda: view(executor, polite) and yard.out(polite) == "up\n", "the trap")
        executor.stop(polite.handle, StopOrder("manual_stop", "a person said so"))
        end = ended(executor, polite)
        assert (end.reason, end.words) == ("manual_stop", "a person said so")
        assert yard.out(polite) == "up\nasked\n"

        deaf = yard.spec("sh", "-c", "trap '' TERM INT; (setsid sleep 300 &); echo up; while :; do sleep 0.05; done",
                         job="gh-451")
        executor.submit(deaf)
        until(lambda: view(executor, deaf) and yard.out(deaf) == "up\n", "the deaf one")
        executor.stop(deaf.handle, StopOrder("stalled", "no sign of life", hard=True))
        assert ended(executor, deaf).reason == "stalled"
        assert executor.sweep(deaf.handle) == ()
        until(lambda: not identity.with_token(deaf.handle.token), "the end of its wrapper, which tells of it first")

    def test_what_is_printed_is_here_while_it_runs(self, yard: Yard) -> None:
        executor = yard.executor()
        go = yard.root / "trees" / "gh-450" / "go"
        spec = yard.spec("sh", "-c", f"echo one; until test -e '{go}'; do sleep 0.05; done; echo two")
        executor.submit(spec)
        until(lambda: isinstance(view(executor, spec), Running) and yard.out(spec) == "one\n", "the first line")
        until(lambda: (now := view(executor, spec)) and isinstance(now, Running) and now.beat, "a heartbeat")
        go.touch()
        ended(executor, spec)
        assert yard.out(spec) == "one\ntwo\n"

    def test_a_wrapper_that_was_killed_is_missing_and_its_agent_is_swept(self, yard: Yard) -> None:
        executor = yard.executor()
        spec = yard.spec("sh", "-c", "echo up; sleep 300")
        executor.submit(spec)
        until(lambda: view(executor, spec) and yard.out(spec) == "up\n", "the agent")
        running = seen(executor, spec, Running)
        os.kill(running.pid, signal.SIGKILL)
        gone = seen(executor, spec, Missing, Exited)
        assert isinstance(gone, self.dead), gone
        told = (gone.code, gone.signal, gone.reason) if isinstance(gone, Exited) else gone.started
        assert told in (True, (None, 9, "killed"))
        assert executor.sweep(spec.handle) == ()
        until(lambda: not identity.with_token(spec.handle.token), "the agent's end")

    def test_an_earlier_generation_cannot_start_after_a_later_one(self, yard: Yard) -> None:
        executor = yard.executor()
        old, new = yard.spec("echo", "old"), yard.spec("echo", "new")
        executor.submit(new)
        ended(executor, new)
        with pytest.raises(LaunchFailed, match="came after this one"):
            executor.submit(old)
        assert yard.out(new) == "new\n"

    def test_a_newer_generation_does_not_start_while_the_old_worker_runs(self, yard: Yard) -> None:
        executor = yard.executor()
        old = yard.spec("sh", "-c", "echo up; sleep 300")
        executor.submit(old)
        until(lambda: view(executor, old) and yard.out(old) == "up\n", "the old worker")
        with pytest.raises(LaunchFailed, match="still run by an earlier worker"):
            executor.submit(yard.spec("echo", "new"))

    def test_twenty_at_once(self, yard: Yard) -> None:
        executor = yard.executor()
        specs = [yard.spec("sh", "-c", f"echo {number}; exit {number}", job=f"gh-{number}") for number in range(20)]
        for spec in specs:
            executor.submit(spec)

        def all_over() -> bool:
            executor.reap()
            return all(isinstance(one, Exited) for one in executor.look([spec.handle for spec in specs]).values())

        until(all_over, "the end of all", 120.0)
        views = executor.look([spec.handle for spec in specs])
        assert [one.code for spec in specs if isinstance(one := views[spec.handle], Exited)] == list(range(20))
        assert [yard.out(spec) for spec in specs] == [f"{number}\n" for number in range(20)]
