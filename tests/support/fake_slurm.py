"""A small Slurm on PATH: squeue, sacct, scontrol, scancel and sbatch over one file of jobs, every call written down.

It refuses what the real ones refuse: an unknown id asked for alone, an end of somebody else's job. Jobs stand as a test
puts them; nothing runs.
"""

from __future__ import annotations

import fcntl
import json
import os
import pwd
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

PROGRAMS = ("squeue", "sacct", "scontrol", "scancel", "sbatch")
ME = pwd.getpwuid(os.geteuid()).pw_name
AWAY = "slurm_load_jobs error: Unable to contact slurm controller (connect failure)"
ENDED = ("COMPLETED", "FAILED", "CANCELLED", "TIMEOUT", "OUT_OF_MEMORY", "NODE_FAIL", "PREEMPTED")
_PROGRAM = """\
#!/bin/sh
'''exec' "{python}" -IS "$0" "$@"
' '''
import sys
sys.path.insert(0, {place!r})
import fake_slurm
sys.exit(fake_slurm.main({name!r}, {state!r}, sys.argv[1:]))
"""


class FakeSlurm:
    """`bin` goes before PATH. `user` is who everything belongs to, unless said otherwise."""

    def __init__(self, folder: Path, user: str = ME) -> None:
        self.folder, self.user = folder, user
        self.bin, self.state, self.work = folder / "bin", folder / "state.json", folder / "work"
        for place in (self.bin, self.work):
            place.mkdir(parents=True)
        self.state.write_text(json.dumps({
            "jobs": [], "next": 100, "calls": [], "environ": {}, "fail": {}, "mute": 0, "accounting": True,
            "user": user, "born": {"state": "PENDING"},
        }))  # fmt: skip
        for name in PROGRAMS:
            path = self.bin / name
            path.write_text(_PROGRAM.format(python=sys.executable, place=str(Path(__file__).parent), name=name,
                                            state=str(self.state)))
            path.chmod(0o755)

    def add(self, name: str, state: str = "PENDING", job_id: str = "", **facts: Any) -> str:
        """A job that somebody submitted; its logs lie in `work` unless said otherwise."""
        with self._open() as data:
            made = _new(data, name, str(self.work), state=state, **facts)
            made["id"] = job_id or made["id"]
            return str(made["id"])

    def set(self, job_id: str, state: str = "", **facts: Any) -> None:
        """What became of it meanwhile; the end of a job is now."""
        with self._open() as data:
            job = next(one for one in data["jobs"] if one["id"] == job_id)
            job.update(facts)
            if state:
                _move(job, state)

    def forget(self, job_id: str) -> None:
        """The controller knows it no more; the books do."""
        self.set(job_id, queued=False)

    def log(self, job_id: str, text: str) -> Path:
        path = self.work / f"slurm-{job_id}.out"
        with path.open("a") as file:
            file.write(text)
        return path

    def down(self, program: str, times: int, words: str = AWAY) -> None:
        """So many of its next calls fail with these words; -1 = all."""
        with self._open() as data:
            data["fail"][program] = [times, words]

    def mute(self, times: int) -> None:
        """So many of the next submissions are taken, and their answer is lost."""
        with self._open() as data:
            data["mute"] = times

    def environ(self, program: str) -> dict[str, str]:
        """What its last call was given."""
        with self._open() as data:
            return dict(data["environ"][program])

    def born(self, **facts: Any) -> None:
        """What every job is that is submitted from now on."""
        with self._open() as data:
            data["born"] = facts

    def without_accounting(self) -> None:
        with self._open() as data:
            data["accounting"] = False

    def jobs(self) -> dict[str, dict[str, Any]]:
        with self._open() as data:
            return {one["id"]: one for one in data["jobs"]}

    def calls(self, program: str = "") -> list[list[str]]:
        """In order, those of one program or all."""
        with self._open() as data:
            return [call for call in data["calls"] if program in ("", call[0])]

    @contextmanager
    def _open(self) -> Iterator[dict[str, Any]]:
        with _opened(self.state) as data:
            yield data


# --- the programs -----------------------------------------------------------------------------------------


def main(program: str, state: str, argv: list[str]) -> int:
    with _opened(Path(state)) as data:
        data["calls"].append([program, *argv])
        data["environ"][program] = dict(os.environ)
        times, words = data["fail"].get(program, [0, ""])
        if times:
            data["fail"][program][0] -= 1 if times > 0 else 0
            print(words, file=sys.stderr)
            return 1
        return {"squeue": _squeue, "sacct": _sacct, "scontrol": _scontrol, "scancel": _scancel,
                "sbatch": _sbatch}[program](data, argv)


@contextmanager
def _opened(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("r+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        data = json.load(file)
        yield data
        file.seek(0)
        file.truncate()
        json.dump(data, file)


def _new(data: dict[str, Any], name: str, workdir: str, **facts: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": str(data["next"]), "name": name, "user": data["user"], "state": "PENDING", "reason": "Priority",
        "exit": "0:0", "restarts": 0, "node": "", "start": 0, "end": 0, "submit": int(time.time()), "comment": "(null)",
        "dependency": "(null)", "workdir": workdir, "stdout": "", "stderr": "", "line": f"sbatch -J {name} job.sh",
        "queued": True,
    }  # fmt: skip
    made.update(facts)
    made["stdout"] = made["stdout"] or f"{workdir}/slurm-%j.out"
    made["stderr"] = made["stderr"] or made["stdout"]
    _move(made, made["state"])
    data["next"] += 1
    data["jobs"].append(made)
    return made


def _move(job: dict[str, Any], state: str) -> None:
    job["state"], now = state, int(time.time())
    if state == "RUNNING" or (state in ENDED and state != "CANCELLED"):
        job["start"], job["node"], job["reason"] = job["start"] or now, job["node"] or "n1", "None"
    if state in ENDED:
        job["end"] = job["end"] or now
        job["exit"] = "1:0" if state == "FAILED" and job["exit"] == "0:0" else job["exit"]


def _ids(text: str) -> list[str]:
    return [one for one in text.split(",") if one]


def _known(job: dict[str, Any], ids: list[str]) -> bool:
    return job["id"] in ids or job["id"].partition("_")[0] in ids


def _options(argv: list[str]) -> dict[str, str]:
    """`--name=value` and `--name`; words without dashes under "" one a blank."""
    found: dict[str, str] = {"": " ".join(word for word in argv if not word.startswith("-"))}
    found.update({name: value for name, _, value in (word.partition("=") for word in argv if word.startswith("-"))})
    return found


def _of(data: dict[str, Any], given: dict[str, str]) -> list[dict[str, Any]]:
    user = given.get("--user", data["user"] if "--me" in given else "")
    ids = _ids(given.get("--jobs", ""))
    return [job for job in data["jobs"] if user in ("", job["user"]) and (not ids or _known(job, ids))]


def _squeue(data: dict[str, Any], argv: list[str]) -> int:
    given = _options(argv)
    ids = _ids(given.get("--jobs", ""))
    found = [job for job in _of(data, given) if job["queued"]]
    if len(ids) == 1 and not found:
        print("slurm_load_jobs error: Invalid job id specified", file=sys.stderr)
        return 1
    columns = [one.partition(":") for one in given["--Format"].split(",")]
    for job in found:
        sys.stdout.write("".join(_queue_cell(job, name) + end for name, _, end in columns) + "\n")
    return 0


def _queue_cell(job: dict[str, Any], name: str) -> str:
    code, _, signal = job["exit"].partition(":")
    cells = {
        "JobID": job.get("raw", job["id"]), "JobArrayID": job["id"], "State": job["state"], "Reason": job["reason"],
        "exit_code": str(int(code) * 256 + int(signal)), "RestartCnt": str(job["restarts"]), "NodeList": job["node"],
        "StartTime": str(job["start"] or "N/A"), "EndTime": str(job["end"] or "N/A"), "Comment": job["comment"],
        "Name": job["name"], "UserName": job["user"], "SubmitTime": str(job["submit"]),
        "Dependency": job["dependency"], "WorkDir": job["workdir"], "StdOut": job["stdout"], "StdErr": job["stderr"],
    }  # fmt: skip
    return str(cells[name])


def _sacct(data: dict[str, Any], argv: list[str]) -> int:
    given = _options(argv)
    if not data["accounting"]:
        print("Slurm accounting storage is disabled", file=sys.stderr)
        return 1
    for job in _of(data, given):
        if job["start"] or job["state"] in ENDED:
            print(given["--delimiter"].join(_account_cell(job, name) for name in given["--format"].split(",")))
    return 0


def _account_cell(job: dict[str, Any], name: str) -> str:
    cells = {
        "JobID": job["id"], "State": job["state"], "ExitCode": job["exit"], "Start": str(job["start"] or "Unknown"),
        "End": str(job["end"] or "Unknown"), "MaxRSS": "", "ReqMem": "100M", "AllocCPUS": "1",
        "NodeList": job["node"] or "None assigned", "JobName": job["name"], "JobIDRaw": job.get("raw", job["id"]),
        "User": job["user"], "Submit": str(job["submit"]), "WorkDir": job["workdir"], "SubmitLine": job["line"],
    }  # fmt: skip
    return str(cells[name])


def _scontrol(data: dict[str, Any], argv: list[str]) -> int:
    print(f"scontrol: {argv} is not known to this one", file=sys.stderr)
    return 1


def _scancel(data: dict[str, Any], argv: list[str]) -> int:
    given = _options(argv)
    for word in given[""].split():
        found = [job for job in data["jobs"] if _known(job, [word]) and given.get("--user", job["user"]) == job["user"]]
        if not found:
            print(f"scancel: error: Kill job error on job id {word}: Invalid job id specified", file=sys.stderr)
        for job in found:
            if job["state"] not in ENDED:
                _move(job, "CANCELLED")
    return 0


def _sbatch(data: dict[str, Any], argv: list[str]) -> int:
    given = _options(argv)
    words = [word for word in argv if word.startswith("-J")]
    name = given.get("--job-name") or (argv[argv.index("-J") + 1] if words else "sbatch")
    array = given.get("--array", "")
    told = {}
    if "--comment" in given:   # ours: the script comes on stdin
        told = {"comment": given["--comment"], "dependency": given.get("--dependency", "(null)"),
                "script": sys.stdin.read()}
    made = _new(data, name, given.get("--chdir", str(Path.cwd())), **{**told, **data["born"]},
                line=f"sbatch {' '.join(argv)}")
    if array:
        whole = made["id"]
        data["jobs"].remove(made)
        data["jobs"] += [{**made, "id": f"{whole}_{index}"} for index in _indices(array)]
    if data["mute"]:
        data["mute"] -= 1
        print("sbatch: error: Zero Bytes were transmitted or received", file=sys.stderr)
        return 1
    print(made["id"] if "--parsable" in given else f"Submitted batch job {made['id']}")
    return 0


def _indices(array: str) -> list[int]:
    """`0,4-7%2` -> 0, 4, 5, 6, 7."""
    ends = [part.split("-") for part in array.partition("%")[0].split(",")]
    return [index for part in ends for index in range(int(part[0]), int(part[-1]) + 1)]
