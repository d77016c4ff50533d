"""What is handed to sbatch: the batch script and its options. Pure; whatever a value holds, it stays one word."""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass

PREFIX = "rpi-"
"""How the name of every job of ours begins."""
CARRIED = ("HOME", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SHELL", "SLURM_CONF", "TZ", "USER")
"""All that a job takes along from where it is submitted: keys and tokens may stand beside them, and options for sbatch.
To take nothing along (--export=NONE) has older Slurms run a login shell on the node, which may take too long."""
_PLAIN_PATH = "/usr/local/bin:/usr/bin:/bin"
_MOST_WARNING = 65535
_JOB_ID = re.compile(r"[1-9][0-9]{0,9}([_+][0-9]{1,9})?")
_INDICES = re.compile(r"([0-9]{1,9})(-([0-9]{1,9})(:[1-9][0-9]{0,8})?)?")
_AT_ONCE = re.compile(r"[1-9][0-9]{0,8}")
_UNUSABLE = {
    "--wrap": "the script is ours",
    "--wait": "sbatch would not return before the job has ended",
    "--test-only": "nothing would be submitted",
    "--clusters": "jobs of another cluster could not be watched; name a login host of that cluster in slurm.login",
    "--requeue": "a worker must not be started twice",
    "--array": "an array would start many workers for one task",
    "--export-file": "the environment of a worker is ours",
    "--uid": "the job would belong to somebody else",
    "--help": "nothing would be submitted",
    "--usage": "nothing would be submitted",
    "--version": "nothing would be submitted",
}


@dataclass(frozen=True)
class Wishes:
    """`[slurm]` as sbatch wants it; "" or 0 leaves it to the cluster. `args` are options of the settings' own, `path`
    are folders put before the node's PATH; `warning` is how many seconds before its end the wrapper gets USR1, 0 for
    never."""

    partition: str = ""
    account: str = ""
    qos: str = ""
    time: str = ""
    mem: str = ""
    cpus: int = 0
    gres: str = ""
    args: tuple[str, ...] = ()
    path: tuple[str, ...] = ()
    warning: int = 0


@dataclass(frozen=True)
class Order:
    """One batch job. `folder` is where it begins, `output` the file that takes what the script and Slurm itself say, ""
    for one there that is named by the job's id; `wrapper` is the program that becomes the job; `depends` are ids of
    jobs that must end well first; `array` as `0-7%2` makes it an array."""

    name: str
    token: str
    folder: str
    output: str
    wrapper: tuple[str, ...]
    wishes: Wishes = Wishes()
    depends: tuple[str, ...] = ()
    array: str = ""


def script(order: Order) -> str:
    """The batch script. Its first line after the interpreter is a command, so that sbatch reads no option behind it,
    and it becomes the wrapper, so that Slurm's signals reach that and nothing else."""
    folders = "".join(f"{_homely(each)}:" for each in order.wishes.path)
    program, *words = order.wrapper
    return "\n".join((
        "#!/bin/sh",
        'export HOME="${HOME:-$(getent passwd "$(id -u)" | cut -d: -f6)}"',
        f'export PATH={folders}"${{PATH:-{_PLAIN_PATH}}}"',
        f"exec {' '.join((_homely(program), *map(shlex.quote, words)))}",
        "",
    ))


def argv(order: Order, environ: Mapping[str, str]) -> list[str]:
    """The command that takes the script on its standard input. Options of ours come after those of the settings: the
    last one counts. `environ` is what stands around it where it is run."""
    wish = order.wishes
    wanted = {
        "--partition": wish.partition, "--account": wish.account, "--qos": wish.qos, "--time": wish.time,
        "--mem": wish.mem, "--cpus-per-task": str(wish.cpus or ""), "--gres": wish.gres,
    }
    said = _as_pattern(order.output) or ("slurm-%A_%a.out" if order.array else "slurm-%j.out")
    ours = {
        "--job-name": order.name, "--comment": order.token, "--chdir": order.folder,
        "--output": said, "--error": said, "--open-mode": "append",
        "--export": "ALL", "--array": order.array,
        "--dependency": f"afterok:{':'.join(order.depends)}" if order.depends else "",
        "--kill-on-invalid-dep": "no",   # it then says why it cannot run; cancelled it would not
        "--signal": f"B:USR1@{min(wish.warning, _MOST_WARNING)}" if wish.warning > 0 else "",
    }
    carried = [f"{name}={environ[name]}" for name in CARRIED if environ.get(name)]
    return ["env", "-i", *carried, "sbatch", "--nodes=1", "--ntasks=1", *_options(wanted), *wish.args,
            "--parsable", "--no-requeue", *_options(ours)]


def unusable(args: tuple[str, ...]) -> str:
    """Which of the settings' own arguments cannot be used, and why; "" when all can. sbatch takes beginnings of names
    too."""
    for each in args:
        name = each.partition("=")[0]
        for option, why in _UNUSABLE.items():
            if len(name) > len("--") and option.startswith(name):
                return f"{each}: {why}"
    return ""


def commanded(line: str) -> tuple[str, ...]:
    """The program that runs a line of a shell, for an order without a wrapper."""
    return ("/bin/sh", "-c", "--", line)


def is_job_id(text: str) -> bool:
    """Of a job, a whole array, one task of an array, or a part of a job of several."""
    return _JOB_ID.fullmatch(text) is not None


def no_array(text: str) -> str:
    """Why sbatch would not take this for the indices of an array; "" when it would, as far as can be told here: how
    high they may be only the cluster knows."""
    indices, limited, at_once = text.partition("%")
    if limited and not _AT_ONCE.fullmatch(at_once):
        return f"behind % stands how many may run at once, not {at_once!r}"
    for part in indices.split(","):
        found = _INDICES.fullmatch(part)
        if found is None:
            return f"{part!r} is no index and no range such as 0-7 or 0-7:2"
        if found[3] and int(found[3]) < int(found[1]):
            return f"{part} ends before it begins"
    return ""


def _options(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in values.items() if value]


def _homely(word: str) -> str:
    """Quoted, but for a ~/ at its beginning: that is the home on the node."""
    return f'"$HOME"/{shlex.quote(word[2:])}' if word.startswith("~/") else shlex.quote(word)


def _as_pattern(path: str) -> str:
    """sbatch replaces %-words in names of files, and takes backslashes out of them: no file can be named with one."""
    return "/dev/null" if "\\" in path else path.replace("%", "%%")
