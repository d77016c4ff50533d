"""Lines beside the tables of jobs: where they lie, what lies elsewhere, what one of them wants. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence


def place_hint(host: str, folder: str, count: int) -> str:
    held = f", {count} {'job' if count == 1 else 'jobs'}" if count else " (empty)"
    return f"host {host}, folder {folder}{held}"


def siblings_hint(folders: Sequence[tuple[str, int]]) -> str:
    """Job folders beside this one, with how many jobs lie in each."""
    listed = ", ".join(f"{folder} ({count})" for folder, count in folders)
    return f"there are other job folders: {listed}; name one with --log-dir"


def away_hint(hosts: Mapping[str, int], here: str, own: int) -> str:
    """Jobs in this folder that run on other hosts."""
    listed = ", ".join(f"{host} ({count})" for host, count in sorted(hosts.items()))
    first = next(iter(sorted(hosts)))
    if not own:
        return f"no job here is of {here}; the folder holds jobs of other hosts: {listed}. Ask there: ssh {first}"
    return f"the folder also holds jobs of other hosts: {listed}. Ask there how they are: ssh {first}"


def empty_hint(folder: str, program: str) -> str:
    return f"no jobs in {folder}: {program} start --beads ID --prompt-file FILE, or name another folder with --log-dir"


def silent_hint(job: str, program: str, age: str) -> str:
    return f"{job}: alive for {age} and its log is empty; if that lasts: {program} restart --beads {job} --pty"


def foreign_hint(folder: str, owner: int) -> str:
    return f"{folder} belongs to user id {owner}: its jobs are shown as they say they are, and not acted on"


def faults_hint(job: str, faults: Sequence[str]) -> str:
    return f"{job}: {'; '.join(faults)}"
