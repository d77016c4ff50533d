"""A worker that was parted from its coordinator and does not know it: what it tries with all that it can find, and what
must stand when the two have met again."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path

from coordinator.domain.attempt import Attempt
from coordinator.runfiles import identity
from tests.support.fake_ssh import FakeSsh
from tests.support.running import Running
from tests.support.stories import completions
from tests.support.yard import Yard

STALE = """
import base64, urllib.error, urllib.request
pull = {{"title": "by the first", "head": "rpi/gh-1", "base": "main"}}
api, remote, tries = {api!r}, {remote!r}, {tries!r}
signal.signal(signal.SIGTERM, signal.SIG_IGN)
def keys():
    found = [value for name, value in os.environ.items() if re.search("TOKEN|KEY|SECRET|AUTH", name)]
    for name in ("~/.netrc", "~/.git-credentials", "~/.config/gh/hosts.yml", "~/.gitconfig"):
        if os.path.exists(os.path.expanduser(name)):
            found += open(os.path.expanduser(name)).read().split()
    asked = subprocess.run(["git", "credential", "fill"], input="url=" + remote + "\\n\\n", capture_output=True,
                           text=True, env={{**os.environ, "GIT_TERMINAL_PROMPT": "0"}})
    return [None, *dict.fromkeys(found + re.findall("password=(.*)", asked.stdout))]
def post(path, body, key):
    said = {{"User-Agent": "stale", "Accept": "application/vnd.github+json", "Content-Type": "application/json"}}
    said.update({{"Authorization": "Bearer " + key}} if key else {{}})
    asks = urllib.request.Request(api + path, json.dumps(body).encode(), said)
    try:
        return urllib.request.urlopen(asks, timeout=9).status
    except urllib.error.HTTPError as refused:
        return refused.code
    except OSError as error:
        return str(error)
def push(key):
    basic = base64.b64encode(("x-access-token:" + key).encode()).decode() if key else ""
    words = ["-c", "http.extraHeader=Authorization: Basic " + basic] if key else []
    onto = "HEAD:refs/heads/rpi/" + os.path.basename(os.getcwd())
    plain = {{name: value for name, value in os.environ.items() if not name.startswith("GIT_")}}
    for env in (os.environ, {{**plain, "GIT_TERMINAL_PROMPT": "0"}}):
        done = subprocess.run(["git", *words, "push", "--force", remote, onto], capture_output=True, text=True, env=env)
        if done.returncode == 0:
            return "pushed"
    return done.stderr.strip()[-300:]
def overwrite():
    what, _, jobs = os.environ["COORDINATOR_RUN"].partition("@")
    for kind in ("meta", "parcel", "seen"):
        write(jobs + "/" + what + "." + kind, "token=forged\\nstate=ended\\nhead=" + "0" * 40 + "\\n")
    return "forged"
def note(**said):
    with open(tries, "a") as log: log.write(json.dumps({{"pid": os.getpid(), **said}}) + "\\n")
commit("stale.txt", "the work of the first\\n", "Work of the first")
for turn in range(10**6):
    write("turn.txt", str(turn)); print("stale turn", turn, flush=True)
    if turn % 10 == 0:
        commit("more.txt", str(turn), "More of the first")
        overwrite()
        for key in keys():
            note(what="push", turn=turn, answer=push(key))
            note(what="pull", turn=turn, answer=post("/pulls", pull, key))
            note(what="comment", turn=turn, answer=post("/issues/1/comments", {{"body": "done by the first"}}, key))
    else:
        note(what="alive", turn=turn)
    time.sleep(0.05)
"""
"""Deaf to TERM, it commits, forges run files, pushes and posts, until it is killed."""

SECOND = 'commit("second.txt", "the work of the second\\n", "Work of the second"); result()'
HOST = """
[hosts.{name}]
address = "{name}"
ssh = ["{ssh}"]
python = "{python}"
slots = 1
{more}
"""


def script(yard: Yard) -> str:
    """The first attempt does not stop by itself; the second does the work."""
    api = f"{yard.github.url}/repos/{yard.repository.full_name}"
    first = STALE.format(api=api, remote=yard.repository.clone_url, tries=str(tries_of(yard)))
    return f"if attempt > 1:\n    {SECOND}\nelse:\n    " + first.strip().replace("\n", "\n    ")


def tries_of(yard: Yard) -> Path:
    return yard.folder / "tries.jsonl"


def tries(yard: Yard) -> list[dict[str, object]]:
    lines = tries_of(yard).read_text("utf-8").splitlines() if tries_of(yard).exists() else []
    return [json.loads(line) for line in lines if line.endswith("}")]


def asked(yard: Yard) -> list[dict[str, object]]:
    """What it wanted of GitHub."""
    return [one for one in tries(yard) if one["what"] != "alive"]


def runs(attempt: Attempt) -> bool:
    return bool(identity.with_token(attempt.token))


@dataclass
class Parted:
    """The story of one task whose worker is parted: `daemon` runs beside it."""

    yard: Yard
    daemon: Running
    number: int = 1

    def attempt(self, number: int) -> Attempt:
        return self.daemon.attempts(self.number)[number - 1]

    def began(self) -> Attempt:
        """The first attempt, once it has tried everything at least once."""
        self.daemon.until_state(self.number, "RUNNING")
        self.daemon.until(lambda: {one["what"] for one in asked(self.yard)} == {"push", "pull", "comment"})
        return self.attempt(1)

    def taken_over(self) -> None:
        """The second is done, and the first knows of nothing."""
        self.daemon.until_state(self.number, "IN_REVIEW", seconds=60)
        assert runs(self.attempt(1))
        seen = len(asked(self.yard))
        self.daemon.until(lambda: len(asked(self.yard)) > seen + 3)

    def ended(self) -> None:
        """The first is gone, and with it everything that it started."""
        self.daemon.until(lambda: not runs(self.attempt(1)), seconds=90)

    def stands(self, *, hosts: tuple[str, str], reason: str = "host_lost", apart: bool = True) -> None:
        """What must be so in the end, whatever the first one tried. `apart`: it had a worktree of its own."""
        first, second = self.daemon.attempts(self.number)
        assert (first.host, second.host) == hosts
        assert (first.fence, second.fence) == (1, 2)
        assert (first.reason, second.reason) == (reason, "process_exit")
        answers = {one["what"]: {each["answer"] for each in asked(self.yard) if each["what"] == one["what"]}
                   for one in asked(self.yard)}
        assert answers["pull"] | answers["comment"] <= {401, 403, 404}, answers
        assert all("Authentication failed" in str(one) or "could not read Username" in str(one)
                   for one in answers["push"]), answers["push"]
        [pull] = self.yard.repository.pulls()
        branch = f"rpi/gh-{self.number}"
        assert self.yard.repository.pulls(branch) == [pull]
        messages = self.yard.repository.messages(branch)
        assert messages[-1].startswith("Work of the second")
        assert len(messages) == 1 or not apart
        said = self.yard.comments(self.number)
        assert completions(self.yard, self.number) == 1
        assert not any("done by the first" in body for body in said)


def hosts(yard: Yard, a: Path, b: Path, *, lease: str = "3s", more: str = "") -> None:
    """`a`, which is tried first, and `b`, of one slot each, behind these programs `ssh`; nothing runs here."""
    words = "".join(HOST.format(name=name, ssh=ssh, python=sys.executable, more=f"{default}\n{more}")
                    for name, ssh, default in (("a", a, "default = true"), ("b", b, "")))
    config = yard.clone / "coordinator.toml"
    config.write_text(config.read_text("utf-8") + words, "utf-8")
    yard.environ.update(COORDINATOR_WORKERS_EXECUTOR="ssh", COORDINATOR_WORKERS_LEASE=lease)


def two_hosts(yard: Yard, ssh: FakeSsh, *, lease: str = "3s", more: str = "") -> None:
    """The same, both behind one program that stands for ssh."""
    for name in ("a", "b"):
        ssh.host(name)
    hosts(yard, ssh.bin / "ssh", ssh.bin / "ssh", lease=lease, more=more)
