"""Slurm's answers, recorded ones and broken ones: read as what they are, or left out."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.adapters.executors.slurm import reading
from coordinator.adapters.executors.slurm.reading import FIELD, RECORD

RECORDED = Path(__file__).parents[1] / "recordings" / "slurm"


def recorded(name: str) -> str:
    return (RECORDED / f"{name}.txt").read_text()


def line(**fields: str) -> str:
    kept = dict(JobID="7", JobArrayID="7", State="RUNNING", Reason="None", exit_code="0", RestartCnt="0", NodeList="n1",
                StartTime="1795304206", EndTime="N/A", Comment="tok", Name="rpi-a")
    return FIELD.join({**kept, **fields}.values()) + RECORD + "\n"


def test_every_job_of_a_real_queue_is_read() -> None:
    rows = {row.id: row for row in reading.rows(recorded("squeue-midway"))}
    assert len(rows) == recorded("squeue-midway").count(RECORD)
    assert set(rows) > {"37", "53_0", "53_1", "53_5"}
    assert "53" not in rows
    seven, killed, waits = rows["39"], rows["40"], rows["48"]
    assert (seven.state, seven.exit_code, seven.signal, seven.comment) == ("FAILED", 7, 0, "tok-seven")
    assert (killed.exit_code, killed.signal) == (0, 9)
    assert (waits.state, waits.reason, waits.start, waits.node) == ("PENDING", "JobHeldUser", 0.0, "")
    assert rows["47"].restarts == 1


def test_a_name_with_line_ends_and_separators_stays_within_its_job() -> None:
    (odd,) = (row for row in reading.rows(recorded("squeue-midway")) if row.id == "57")
    assert (odd.name, odd.comment, odd.state) == (f"l1\nl2{FIELD}z", "a b|c", "PENDING")
    account = reading.accounts(recorded("sacct-midway"))["57"]
    assert (account.name, account.state) == ("l1", "PENDING")


def test_every_job_of_real_accounts_is_read_with_its_batch_step() -> None:
    accounts = reading.accounts(recorded("sacct-midway"))
    assert {"37", "53_0", "53_1"} < set(accounts)
    assert not any("." in each or "[" in each for each in accounts)
    memory, term = accounts["41"], accounts["45"]
    assert (memory.signal, memory.step_signal, memory.req_mem_kb) == (9, 9, 100 << 10)
    assert memory.max_rss_kb > memory.req_mem_kb
    assert (term.state, term.cancelled_by, term.node) == ("CANCELLED by 0", 0, "vm")
    assert accounts["48"].node == ""   # "None assigned"


@pytest.mark.parametrize(("text", "job_id"), [
    ("123\n", "123"), ("123;cluster\n", "123"), ("Welcome to the cluster\n42;c1\n", "42"), ("", ""),
    ("Submitted batch job 7\n", ""), ("12;a b\n", ""),
])
def test_the_id_is_found_in_what_sbatch_prints(text: str, job_id: str) -> None:
    assert reading.submitted(text) == job_id


@pytest.mark.parametrize(("job_id", "base"), [("12", "12"), ("12_3", "12"), ("12+1", "12")])
def test_a_task_and_a_part_belong_to_the_job_of_their_number(job_id: str, base: str) -> None:
    assert reading.base_id(job_id) == base


@pytest.mark.parametrize("shown", ["12_3", "12+0", "12"])
def test_ids_of_arrays_and_of_jobs_of_several_parts_are_kept(shown: str) -> None:
    assert reading.rows(line(JobID="15", JobArrayID=shown))[0].id == shown


@pytest.mark.parametrize("torn", [
    "7" + FIELD + "7", "", "\n", "slurm_load_jobs error: something\n", line(JobID="x", JobArrayID="y"), line(State=""),
])
def test_a_torn_line_is_left_out_and_the_rest_is_read(torn: str) -> None:
    assert [row.id for row in reading.rows(line(JobArrayID="1") + torn)] == ["1"]


@pytest.mark.parametrize(("status", "ended"), [
    ("1792", (7, 0)), ("9", (0, 9)), ("15", (0, 15)), ("4021", (0, 53)), ("7:0", (7, 0)), ("0:9", (0, 9)), ("", (0, 0)),
])
def test_an_end_is_read_in_both_spellings(status: str, ended: tuple[int, int]) -> None:
    (row,) = reading.rows(line(exit_code=status))
    assert (row.exit_code, row.signal) == ended


@pytest.mark.parametrize(("size", "cpus", "kb"), [
    ("200M", "4", 200 << 10), ("1.5G", "1", 3 << 19), ("100Mc", "4", 400 << 10), ("2Gn", "8", 2 << 20),
    ("0", "1", 0), ("", "1", 0), ("?", "1", 0), ("16T", "1", 16 << 30),
])
def test_memory_that_was_asked_for_is_read_in_old_and_new_spellings(size: str, cpus: str, kb: int) -> None:
    fields = ["7", "FAILED", "0:9", "1795304206", "1795304210", "", size, cpus, "n1", "rpi-a"]
    assert reading.accounts(FIELD.join(fields))["7"].req_mem_kb == kb


def test_an_account_is_whole_when_its_begin_and_its_batch_step_are_written_down() -> None:
    """The rows are recorded: parts of a job that ended come one by one."""
    begun = FIELD.join(["1", "FAILED", "0:9", "1795306028", "1795306030", "", "16?", "1", "n1", "allocation"])
    booked = begun.replace("16?", "100M").replace("allocation", "rpi-a")
    runs = FIELD.join(["1.batch", "RUNNING", "0:0", "1795306028", "Unknown", "", "", "1", "n1", "batch"])
    over = runs.replace("RUNNING", "CANCELLED by 0").replace("0:0", "0:9")
    never = FIELD.join(["1", "CANCELLED by 0", "0:0", "None", "1795306030", "", "1M", "1", "None assigned", "rpi-a"])
    texts = [f"{begun}\n{over}", booked, f"{booked}\n{runs}", f"{booked}\n{over}", never]
    assert [reading.accounts(text)["1"].whole for text in texts] == [False, False, False, True, True]


def test_the_last_line_of_a_job_that_was_put_back_counts() -> None:
    fields = ["7", "REQUEUED", "0:0", "1", "2", "", "", "1", "n1", "rpi-a"]
    text = FIELD.join(fields) + "\n" + FIELD.join(["7", "RUNNING", *fields[2:]])
    assert reading.accounts(text)["7"].state == "RUNNING"


PIECES = st.sampled_from([*"79_.+[]:- MGK\n", FIELD, RECORD, "CANCELLED by ", "Unknown", "7.batch", "0:9"])


@given(text=st.lists(PIECES, max_size=60).map("".join))
def test_whatever_comes_is_read_without_an_error(text: str) -> None:
    for row in reading.rows(text + RECORD + line() + text):
        assert row.id
        assert row.state
    assert all(reading.accounts(text).values())
    assert reading.submitted(text) == "" or reading.submitted(text).isdigit()


def test_both_questions_are_free_of_what_people_set_for_their_eyes() -> None:
    for words in (reading.queue_argv(), reading.account_argv(["7", "8_1"])):
        assert words[0] == "env"
        assert "SLURM_TIME_FORMAT=%s" in words
    assert "--jobs=7,8_1" in reading.account_argv(["7", "8_1"])
    assert "--me" in reading.queue_argv()
