"""Hosts that are folders of this machine, and a program `ssh` (or `tailscale`, …) that runs commands as if there."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

_SCRIPT = """\
#!/bin/sh
hosts={hosts}
{{ for word; do printf '%s\\t' "$word"; done; printf '\\n'; }} >> "$hosts/asked"
env > "$hosts/environ"
[ "${{0##*/}}" = tailscale ] && {{ [ "$1" = ssh ] || exit 64; shift; }}
case "$1" in -*) echo "flag provided but not defined: $1" >&2; exit 2;; esac
address=$1; shift
while [ $# -gt 0 ]; do
  case "$1" in
    -G) printf 'connecttimeout none\\nserveraliveinterval 0\\n'; exit 0;;
    -O) exit 0;;
    -o) shift 2;;
    --) shift; break;;
    *) break;;
  esac
done
there="$hosts/$address"
[ -d "$there" ] || {{ echo "ssh: Could not resolve hostname $address: Name or service not known" >&2; exit 255; }}
[ -f "$there/down" ] && {{ cat "$there/down" >&2; exit $(cat "$there/code"); }}
cd "$there/home" || exit 255
remote() {{
  exec env -i HOME="$there/home" PATH="$there/bin:{path}" SHELL=/bin/sh LANG=C.UTF-8 setsid -w /bin/sh -c "$1"
}}
[ -f "$there/late" ] || remote "$1"
exec 3>&1
remote "$1" 2>&1 >&3 3>&- | {{ sleep 0.5; cat >&2; }}
"""


class FakeSsh:
    """Programs of these names in `bin`, and hosts. Each host has a home, and programs of its own in front of ours."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder, self.bin = folder, folder / "client"
        self.bin.mkdir(parents=True)
        text = _SCRIPT.format(hosts=shlex.quote(str(folder)), path=f"{Path(sys.executable).parent}:/usr/bin:/bin")
        for name in names or ("ssh",):
            program(self.bin / name, text)

    def host(self, address: str, programs: Mapping[str, str] | None = None) -> Path:
        """A new one; its home."""
        home = self.folder / address / "home"
        home.mkdir(parents=True)
        for name, script in (programs or {}).items():
            program(self.folder / address / "bin" / name, script)
        return home

    def down(self, address: str, says: str, code: int = 255) -> None:
        """From now on no command is run there."""
        (self.folder / address / "code").write_text(str(code), "utf-8")
        (self.folder / address / "down").write_text(says, "utf-8")

    def up(self, address: str) -> None:
        """The end of `down`."""
        (self.folder / address / "down").unlink()

    def late(self, address: str) -> None:
        """From now on what comes on stderr is half a second on its way."""
        (self.folder / address / "late").touch()

    def asked(self) -> list[list[str]]:
        """The words of each call so far, questions about the configuration left out."""
        lines = (self.folder / "asked").read_text("utf-8").split("\t\n") if (self.folder / "asked").exists() else []
        return [words for line in lines if line and "-G" not in (words := line.split("\t"))]

    def environ(self) -> dict[str, str]:
        """What the program was given the last time."""
        lines = (self.folder / "environ").read_text("utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines if "=" in line)

    def path(self) -> str:
        return f"{self.bin}{os.pathsep}/usr/bin{os.pathsep}/bin"


def program(path: Path, script: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(script, "utf-8")
    path.chmod(0o755)
