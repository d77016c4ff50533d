"""The executor on a real Slurm when Slurm itself is in trouble: what waits, what never runs, and silence, which is no
end."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from coordinator.adapters.executors.slurm.script import Wishes
from coordinator.domain.worker import Exited, Running, Unknown, Waiting
from coordinator.ports import Away, LaunchFailed, StopOrder
from coordinator.runfiles import identity
from tests.support.executor_yard import Yard, ended, seen, slurm_yard, view
from tests.support.slurmd import Cluster
from tests.support.workers import until


@pytest.fixture
def yard(tmp_path: Path, slurm: Cluster) -> Iterator[Yard]:
    with slurm_yard(tmp_path / "y", slurm.env) as made:
        yield made


def submissions(slurm: Cluster) -> int:
    return sum(line.startswith("sbatch ") for line in slurm.commands())


@pytest.mark.timeout(400)
def test_a_controller_that_is_away_ends_nothing_and_hides_no_end(yard: Yard, slurm: Cluster) -> None:
    """A worker that beats is seen by its files, so is the end of one; what only Slurm knows is unknown."""
    executor, go = yard.executor(), yard.root / "go"
    lasting = yard.spec("sh", "-c", "echo up; sleep 300", job="gh-1")
    ending = yard.spec("sh", "-c", f"until test -e '{go}'; do sleep 0.05; done; exit 3", job="gh-2")
    held = yard.spec("true", job="gh-3")
    for spec in (lasting, ending):
        executor.submit(spec)
        seen(executor, spec, Running)
    slurm.drain()
    executor.submit(held)
    until(lambda: "drained" in getattr(view(executor, held), "reason", ""), "the reason why it waits")
    slurm.stop_controller()
    assert "contact slurm controller" in seen(executor, held, Unknown, seconds=60).reason
    go.touch()
    assert ended(executor, ending, 60).code == 3
    seen(executor, lasting, Running, seconds=60)   # asked for alone, another is forgotten until the next look
    unheard = yard.spec("true", job="gh-4")
    with pytest.raises(Away):
        executor.submit(unheard)
    restarted = yard.executor()
    assert isinstance(seen(restarted, lasting, Running, seconds=60), Running)
    slurm.start_controller()
    slurm.resume()
    assert ended(executor, held, 60).code == 0
    seen(executor, lasting, Running, seconds=60)
    tokens = slurm.run("squeue", "-h", "--states=all", "-o", "%k").stdout.split()
    assert [tokens.count(spec.handle.token) for spec in (lasting, ending, held, unheard)] == [1, 1, 1, 0]
    executor.stop(lasting.handle, StopOrder("manual_stop", "enough", hard=True))
    assert ended(executor, lasting).reason == "manual_stop"


def test_a_drained_node_is_a_wait_with_its_reason_however_long_it_takes(yard: Yard, slurm: Cluster) -> None:
    slurm.drain()
    executor, spec = yard.executor(), yard.spec("sh", "-c", "exit 5")
    executor.submit(spec)
    until(lambda: "drained" in getattr(view(executor, spec), "reason", ""), "the reason why it waits")
    yard.clock.by = timedelta(days=2)
    executor = yard.executor()   # of a coordinator that was begun anew meanwhile
    waits = seen(executor, spec, Waiting, Exited)
    assert isinstance(waits, Waiting), waits
    slurm.resume()
    assert ended(executor, spec).code == 5
    assert submissions(slurm) == 1


def test_what_waits_is_stopped_before_it_begins(yard: Yard, slurm: Cluster) -> None:
    slurm.drain()
    executor, spec = yard.executor(), yard.spec("sh", "-c", "echo begun")
    executor.submit(spec)
    until(lambda: "drained" in getattr(view(executor, spec), "reason", ""), "the reason why it waits")
    executor.stop(spec.handle, StopOrder("manual_stop", "not needed any more"))
    yard.clock.by = timedelta(seconds=30)
    assert ended(executor, spec).reason == "manual_stop"
    slurm.resume()
    assert yard.out(spec) == ""
    assert not slurm.run("squeue", "-h", "-t", "PENDING,RUNNING,COMPLETING").stdout


@pytest.mark.parametrize(("wishes", "words"), [
    (Wishes(mem="50", partition="short", time="10"), "lower slurm.time (Slurm says PartitionTimeLimit)"),
    (Wishes(mem="50", args=("--dependency=afterok:{failed}",)), "a job that it depends on did not end well"),
])
def test_what_slurm_takes_and_will_never_run_ends_with_what_to_mend_and_leaves_the_queue(
        tmp_path: Path, slurm: Cluster, wishes: Wishes, words: str) -> None:
    failed = slurm.submit("exit 1", "--mem=50")
    args = tuple(one.format(failed=failed) for one in wishes.args)
    with slurm_yard(tmp_path / "y", slurm.env, Wishes(**{**vars(wishes), "args": args})) as yard:
        executor, spec = yard.executor(), yard.spec("true")
        executor.submit(spec)
        until(lambda: words in getattr(view(executor, spec), "reason", ""), "Slurm's reason")
        yard.clock.by = timedelta(seconds=30)   # it stays so
        end = ended(executor, spec)
        assert (end.reason, words in end.words) == ("slurm_never_runs", True)
        until(lambda: not slurm.run("squeue", "-h", "-t", "PENDING").stdout, "an empty queue")


def test_what_slurm_refuses_is_refused_with_the_setting_to_mend_and_is_not_running(
        tmp_path: Path, slurm: Cluster) -> None:
    with slurm_yard(tmp_path / "y", slurm.env, Wishes(partition="nope")) as yard:
        executor, spec = yard.executor(), yard.spec("true")
        with pytest.raises(LaunchFailed, match=r"Mend slurm\.partition") as refused:
            executor.submit(spec)
        assert refused.value.reason == "slurm_submit_refused"
        assert not slurm.run("squeue", "-h").stdout


def test_a_node_that_is_cut_off_is_told_to_end_its_worker_and_the_end_has_slurms_name(
        yard: Yard, slurm: Cluster) -> None:
    executor, spec = yard.executor(), yard.spec("sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    executor.submit(spec)
    until(lambda: view(executor, spec) and yard.out(spec) == "up\n", "the worker")
    slurm.kill_node()
    assert ended(executor, spec, 60).reason == "slurm_node_fail"
    assert identity.with_token(spec.handle.token) == []


def test_without_accounting_ends_are_told_by_files_and_queue(
        tmp_path: Path, slurm_without_accounting: Cluster) -> None:
    with slurm_yard(tmp_path / "y", slurm_without_accounting.env) as yard:
        executor = yard.executor()
        seven, cancelled = yard.spec("sh", "-c", "exit 7"), yard.spec("sleep", "300", job="gh-2")
        for spec in (seven, cancelled):
            executor.submit(spec)
        assert ended(executor, seven).code == 7
        seen(executor, cancelled, Running)
        slurm_without_accounting.run("scancel", "--user=root")
        assert ended(executor, cancelled).reason == "slurm_cancelled"
        assert executor.sweep(cancelled.handle) == ()
