"""A real Slurm of one node for tests: slurmctld, slurmd, munged and, for accounting, slurmdbd with a MariaDB of its
own, from the distribution's packages. Needs root; touches nothing outside its folder and listens on 127.0.0.1 only."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Self

import psutil

from tests.support.cut import Reserved
from tests.support.patience import end_of

CLIENTS = ("sbatch", "squeue", "sacct", "scancel", "scontrol", "sinfo", "srun", "sacctmgr", "sprio", "sstat")
DAEMONS = ("slurmctld", "slurmd", "munged")
ACCOUNTANTS = ("slurmdbd", "mariadbd", "mariadb-install-db", "mariadb-admin")
PACKAGES = "slurmctld slurmd slurm-client slurm-wlm-basic-plugins munge slurmdbd slurm-wlm-mysql-plugin mariadb-server"
NODE = "n1"
STEPD = "slurmstepd"
_PATH = f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin"

_CONF = """\
ClusterName={name}
SlurmctldHost={host}(127.0.0.1)
SlurmctldPort={ctld}
SlurmdPort={slurmd}
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
CredType=cred/munge
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SwitchType=switch/none
MpiDefault=none
ReturnToService=2
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
SlurmdParameters=config_overrides
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=100
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=1,bf_interval=1,sched_min_interval=0,batch_sched_delay=0,preempt_send_user_signal
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
JobRequeue=1
JobAcctGatherType=jobacct_gather/linux
JobAcctGatherFrequency=1
JobAcctGatherParams=OverMemoryKill
MinJobAge=300
KillWait=5
SlurmdTimeout=5
MessageTimeout=4
UnkillableStepTimeout=10
{accounting}
NodeName={node} NodeHostname={host} NodeAddr=127.0.0.1 CPUs={cpus} RealMemory={memory} State=UNKNOWN
PartitionName=debug Nodes={node} Default=YES MaxTime=1:00:00 PriorityTier=10 PreemptMode=OFF
PartitionName=short Nodes={node} MaxTime=0:01:00 PriorityTier=10 PreemptMode=OFF
PartitionName=low Nodes={node} MaxTime=1:00:00 PriorityTier=1 PreemptMode=REQUEUE
"""

_ACCOUNTING = """\
AccountingStorageType=accounting_storage/slurmdbd
AccountingStorageHost=127.0.0.1
AccountingStoragePort={slurmdbd}
AccountingStoragePass={folder}/munge.sock
AccountingStoreFlags=job_comment"""

_NO_ACCOUNTING = "AccountingStorageType=accounting_storage/none"

_DBD = """\
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
DbdHost=localhost
DbdAddr=127.0.0.1
DbdPort={slurmdbd}
SlurmUser=root
StorageType=accounting_storage/mysql
StorageHost=localhost
StorageUser=root
StorageLoc=slurm_acct
PidFile={folder}/slurmdbd.pid
CommunicationParameters=NoInAddrAny
"""

# Each call of a client program is a line of the file beside it.
_COUNTED = """#!/bin/sh
echo "${{0##*/}} $*" >> "{log}"
exec {program} "$@"
"""


def missing(*, accounting: bool = True) -> str:
    """Why there can be no cluster here; "" when there can."""
    if os.geteuid() != 0:
        return "a Slurm of our own needs root: munged and slurmd start jobs as their users"
    if len(_short_name()) > 63:
        return "no program of Slurm runs on a machine whose name has 64 letters"
    wanted = (*DAEMONS, "sbatch", *(ACCOUNTANTS if accounting else ()))
    lacks = [name for name in wanted if not shutil.which(name, path=_PATH)]
    return f"{', '.join(lacks)} not found: apt install --no-install-recommends {PACKAGES}" if lacks else ""


def _named() -> tuple[str, ...]:
    """Words that run the rest under the name `localhost`: daemons ask for the address of the machine's own name, which
    nobody may know. Nothing where a machine must not be renamed even for one process."""
    words = ("unshare", "--uts", "sh", "-c", 'hostname localhost && exec "$@"', "sh")
    return words if subprocess.run([*words, "true"], capture_output=True, check=False).returncode == 0 else ()


class Cluster:
    """Slurm with one node, which says it has `cpus` CPUs and `memory` MiB whatever the machine has, and partitions:
    `debug` (an hour), `short` (a minute), `low` (an hour; requeued, or ended, for jobs of the other two).

    `env` is for the clients: with it `sbatch` and its kin are found first in a folder where each call is counted.
    """

    def __init__(self, folder: Path, *, accounting: bool = True, cpus: int = 32, memory: int = 8000) -> None:
        assert len(f"{folder}/munge.sock") < 108, f"{folder} is too long a path for a socket"
        self.folder, self.accounting = folder, accounting
        self.node = NODE
        self.bin = folder / "bin"
        self._asked = folder / "asked"
        self._running: dict[str, subprocess.Popen[bytes]] = {}
        self._named = _named()
        self._ports = [Reserved() for _ in range(3)]
        self.env: dict[str, str] = {
            "SLURM_CONF": str(folder / "slurm.conf"),
            "MYSQL_UNIX_PORT": str(folder / "db.sock"),   # where slurmdbd's library looks for MariaDB
            "PATH": f"{self.bin}:{os.environ.get('PATH', '/usr/bin:/bin')}",
        }
        for name in ("state", "spool", "log", "bin", "tmp"):
            (folder / name).mkdir(parents=True)
        self._write(cpus, memory)

    def __enter__(self) -> Self:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def start(self) -> None:
        """Returns when the node takes jobs."""
        socket_ = self.folder / "munge.sock"
        self._start("munged", "--foreground", "--force", f"--key-file={self.folder / 'munge.key'}",
                    f"--socket={socket_}", f"--pid-file={self.folder / 'munged.pid'}",
                    f"--log-file={self.folder / 'log' / 'munged.log'}",
                    f"--seed-file={self.folder / 'munge.seed'}")  # fmt: skip
        if self.accounting:
            self._start_database()
            self.start_accounting()
        self._until("munged", socket_.exists)
        self.start_controller()
        self.start_node()

    def stop(self) -> None:
        """Ends the daemons and whatever they started. They are killed: nobody reads what they would still write, and
        what runs jobs waits for ever for a controller that ends before it."""
        while left := list(self.living()):
            for process in left:
                _kill(process)
            time.sleep(0.01)
        for daemon in self._running.values():
            daemon.wait()
        self._running.clear()
        for port in self._ports:
            port.close()

    def start_controller(self) -> None:
        if "slurmctld" not in self._running:
            self._start("slurmctld", "-i", "-D")
        self._until("slurmctld", lambda: "is UP" in self.run("scontrol", "ping").stdout)

    def stop_controller(self) -> None:
        """Clients find nobody; jobs run on. It writes down what it knows: one that is killed forgets the last jobs."""
        self._end("slurmctld", signal.SIGTERM)

    def start_accounting(self) -> None:
        if "slurmdbd" not in self._running:
            self._start("slurmdbd", "-D")
        self._until("slurmdbd", lambda: _answers(self._ports[2].port))

    def stop_accounting(self) -> None:
        """`sacct` finds nobody; the controller keeps what it has to say until the accountant is back."""
        self._end("slurmdbd")

    def start_node(self) -> None:
        """Returns when the node takes jobs, as after a machine's start."""
        if "slurmd" not in self._running:
            self._start("slurmd", "-D", "-N", NODE)
        self._until("slurmd", lambda: self.node_state() in ("idle", "mixed", "allocated"))

    def kill_node(self) -> None:
        """The node's daemon is gone at once, its jobs run on where nobody sees them: NODE_FAIL follows in seconds."""
        self._end("slurmd")

    def drain(self) -> None:
        """What runs there runs on, nothing new is started."""
        self.run("scontrol", "update", f"NodeName={NODE}", "State=DRAIN", "Reason=drained by a test")

    def resume(self) -> None:
        self.run("scontrol", "update", f"NodeName={NODE}", "State=RESUME")
        self._until("node", lambda: self.node_state() in ("idle", "mixed", "allocated"))

    def expire(self, job: str) -> None:
        """Its time is over. The controller looks at the time of jobs each half minute."""
        done = self.run("scontrol", "update", f"JobId={job}", "EndTime=now")
        assert done.returncode == 0, done.stderr

    def node_state(self) -> str:
        return self.run("sinfo", "-h", "-N", "-p", "debug", "-o", "%T").stdout.strip()

    def commands(self) -> list[str]:
        """Each call of a client program that was made with `env` so far, by name and arguments."""
        return self._asked.read_text("utf-8").splitlines() if self._asked.exists() else []

    def run(self, *argv: str, stdin: str = "", **environ: str) -> subprocess.CompletedProcess[str]:
        """A client's answer. It is not counted."""
        program = shutil.which(argv[0], path=_PATH) or argv[0]
        return subprocess.run([program, *argv[1:]], env={**os.environ, **self.env, **environ}, input=stdin, text=True,
                              cwd=self.folder, capture_output=True, timeout=120, check=False)  # fmt: skip

    def submit(self, script: str, *options: str) -> str:
        """The number of a new job that runs `script`; what it says goes to `folder/NUMBER.out`."""
        words = ["sbatch", "--parsable", f"--output={self.folder}/%j.out", *options]
        done = self.run(*words, stdin=f"#!/bin/sh\n{script}\n")
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()

    def said(self, job: str) -> str:
        file = self.folder / f"{job}.out"
        return file.read_text("utf-8") if file.exists() else ""

    def shown(self, job: str) -> dict[str, str]:
        """What the controller says of a job, by its own words; nothing when it knows none of that number."""
        words = self.run("scontrol", "-o", "show", "job", job).stdout.split()
        return dict(word.split("=", 1) for word in words if "=" in word)

    def accounted(self, job: str, *fields: str) -> list[str]:
        """The named fields of a job's own row of sacct; nothing as long as it has none."""
        asked = self.run("sacct", "-n", "-P", "-X", "-j", job, "-o", ",".join(fields))
        return asked.stdout.strip().split("|") if asked.stdout.strip() else []

    def tidy(self) -> None:
        """All up, no job left: what the next test may rely on, whatever the last one did."""
        self.start_controller()
        if self.accounting:
            self.start_accounting()
        self.run("scancel", "--user=root")
        self.run("scontrol", "update", f"NodeName={NODE}", "State=RESUME")
        self._end_jobs()
        self.start_node()
        self._until("end of all jobs", lambda: not self.run("squeue", "-h").stdout.strip())
        self._until("end of all that jobs left", self._end_jobs)
        self._asked.unlink(missing_ok=True)

    def living(self) -> Iterator[psutil.Process]:
        """The daemons, and all that was started by them or with this cluster's settings and still runs."""
        roots = [psutil.Process(daemon.pid) for daemon in self._running.values() if daemon.poll() is None]
        roots += [one for one in psutil.process_iter() if self._is_ours(one)]
        for root in roots:
            yield from (one for one in (root, *_children(root)) if _runs(one))

    def _end_jobs(self) -> bool:
        """Kills those that carry a job, all below them, and what a job left to nobody; whether there were none."""
        living = list(self.living())
        found = [below for one in living if _name(one) == STEPD for below in (one, *_children(one))]
        found += [one for one in living if _is_of_a_job(one)]
        for process in found:
            _kill(process)
        return not found

    def _is_ours(self, process: psutil.Process) -> bool:
        """Who carries a job is nobody's child and has no environment, but works where its node's daemon worked."""
        try:
            if process.name() == STEPD:
                return process.cwd() == str(self.folder)
            return process.environ().get("SLURM_CONF") == self.env["SLURM_CONF"]
        except (psutil.Error, OSError):   # another user's, or gone meanwhile
            return False

    def _start_database(self) -> None:
        # A server that starts removes what it takes for leftovers from its folder for temporary files: one for each.
        data, own = f"--datadir={self.folder / 'db'}", f"--tmpdir={self.folder / 'tmp'}"
        made = self.run("mariadb-install-db", "--no-defaults", "--user=root", data, own, "--skip-test-db",
                        "--auth-root-authentication-method=socket")  # fmt: skip
        assert made.returncode == 0, made.stdout + made.stderr
        self._start("mariadbd", "--no-defaults", "--user=root", data, own, "--skip-networking",
                    f"--socket={self.env['MYSQL_UNIX_PORT']}", f"--pid-file={self.folder / 'mariadbd.pid'}",
                    "--innodb-buffer-pool-size=32M", "--innodb-lock-wait-timeout=900",
                    "--innodb-flush-log-at-trx-commit=0")  # fmt: skip
        ping = ("mariadb-admin", "--no-defaults", f"--socket={self.env['MYSQL_UNIX_PORT']}", "ping")
        self._until("mariadbd", lambda: self.run(*ping).returncode == 0)

    def _start(self, name: str, *options: str) -> None:
        words = [*self._named, "setpriv", "--pdeathsig", "KILL", shutil.which(name, path=_PATH) or name, *options]
        with (self.folder / "log" / name).open("ab") as log:
            self._running[name] = subprocess.Popen(
                words, env={**os.environ, **self.env}, cwd=self.folder, start_new_session=True,
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
            )  # fmt: skip

    def _end(self, name: str, how: int = signal.SIGKILL) -> None:
        if daemon := self._running.pop(name, None):
            daemon.send_signal(how)
            daemon.wait()

    def _until(self, what: str, true: Callable[[], object], seconds: float = 30) -> None:
        end = end_of(time.monotonic(), seconds)
        while not true():
            ended = [name for name, daemon in self._running.items() if daemon.poll() is not None]
            assert not ended, f"{ended} ended: {self._logs(*ended)}"
            assert time.monotonic() < end, f"waited {seconds} s for {what}: {self._logs(*self._running)}"
            time.sleep(0.02)

    def _logs(self, *names: str) -> str:
        return "\n".join((self.folder / "log" / name).read_text("utf-8", "replace")[-2000:] for name in names)

    def _write(self, cpus: int, memory: int) -> None:
        ctld, slurmd, slurmdbd = (port.port for port in self._ports)
        told: Mapping[str, object] = {"folder": self.folder, "slurmdbd": slurmdbd}
        host = "localhost" if self._named else _short_name()
        accounting = _ACCOUNTING.format(**told) if self.accounting else _NO_ACCOUNTING
        _private(self.folder / "slurm.conf", _CONF.format(
            name=f"c{ctld}", host=host, node=NODE, ctld=ctld, slurmd=slurmd, folder=self.folder, cpus=cpus,
            memory=memory, accounting=accounting,
        ).encode())  # fmt: skip
        _private(self.folder / "slurmdbd.conf", _DBD.format(**told).encode())
        _private(self.folder / "munge.key", os.urandom(1024))
        for name in CLIENTS:
            if program := shutil.which(name, path=_PATH):
                (self.bin / name).write_text(_COUNTED.format(log=self._asked, program=program), "utf-8")
                (self.bin / name).chmod(0o755)


def _short_name() -> str:
    return socket.gethostname().split(".")[0]


def _private(file: Path, text: bytes) -> None:
    file.write_bytes(text)
    file.chmod(0o600)


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.Error:
        return ""


def _is_of_a_job(process: psutil.Process) -> bool:
    try:
        return "SLURM_JOB_ID" in process.environ()
    except (psutil.Error, OSError):
        return False


def _children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return process.children(recursive=True)
    except psutil.Error:
        return []


def _runs(process: psutil.Process) -> bool:
    """What has ended stays in the table until whoever inherited it looks, which can take seconds."""
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _kill(process: psutil.Process) -> None:
    try:
        process.kill()
    except psutil.NoSuchProcess:
        pass
