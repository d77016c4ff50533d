"""What a value of the configuration may be: how it is checked, read from text and shown. Knows no key.

A kind refuses with a ValueError whose words go behind the value: `poll.interval = "x"` *is no duration; ...*
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import Generic, TypeVar

from coordinator.config.quantities import LONGEST, parse_duration, parse_size, show_duration, show_size

T = TypeVar("T")

_LONGEST_TEXT = 4096
_NAMES: Mapping[type, str] = {
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "a table",
}
_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\t": "\\t"})


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """`read` checks what TOML gave, `from_text` makes that of an environment variable's or option's text. A `secret`
    value stands in no error."""

    read: Callable[[object], T]
    show: Callable[[T], str]
    from_text: Callable[[str], object] = str
    secret: bool = False


def _text(raw: object) -> str:
    if not isinstance(raw, str):
        raise ValueError(f"is {_name(raw)}, but must be text in quotes")
    if len(raw) > _LONGEST_TEXT:
        raise ValueError(f"is longer than {_LONGEST_TEXT} characters; put it into a file and name that")
    if any(ord(letter) < 32 and letter not in "\t\n" for letter in raw) or "\x7f" in raw:
        raise ValueError("holds control characters; remove them")
    return raw


def _name(raw: object) -> str:
    return _NAMES.get(type(raw), "a date or time")


def _quoted(text: str) -> str:
    return f'"{text.translate(_ESCAPES)}"'


def text(pattern: str = "", meaning: str = "", *, empty: bool = False) -> Kind[str]:
    """Text; `pattern` is what all of it must match, `meaning` says so to people. `empty` allows ""."""

    def read(raw: object) -> str:
        value = _text(raw)
        if not value.strip():
            if empty:
                return ""
            raise ValueError("is empty; write a value, or delete the line for the default")
        if pattern and not re.fullmatch(pattern, value):
            raise ValueError(f"is no {meaning}")
        return value

    return Kind(read, _quoted)


def proxy() -> Kind[str]:
    """A proxy's address; a password in it is read, and never shown."""
    address = text(r"(https?|socks5h?)://\S+", "proxy address, such as http://proxy:3128", empty=True)
    return Kind(address.read, lambda value: _quoted(re.sub(r"//[^/\s]*@", "//***@", value)))


def addresses() -> Kind[tuple[str, ...]]:
    """Addresses that hold tokens: a list of `scheme://...`, of which the scheme alone is ever shown."""

    def read(raw: object) -> tuple[str, ...]:
        if not isinstance(raw, list):
            raise ValueError(f'is {_name(raw)}, but must be a list of addresses, such as ["mailto://…"]')
        return tuple(_address(at, entry) for at, entry in enumerate(raw, 1))

    def show(value: Sequence[str]) -> str:
        return "[" + ", ".join(_quoted(f"{one.partition('://')[0]}://***") for one in value) + "]"

    return Kind(read, show, shlex.split, secret=True)


def _address(at: int, entry: object) -> str:
    if not isinstance(entry, str) or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]{0,40}://[!-~\x80-\U0010ffff]+", entry):
        raise ValueError(f"has an entry {at} that is no address, such as mailto://… or slack://…")
    return entry


def choice(*words: str) -> Kind[str]:
    def read(raw: object) -> str:
        value = _text(raw)
        if value not in words:
            raise ValueError(f"is not one of {', '.join(words)}")
        return value

    return Kind(read, _quoted)


def inner_path() -> Kind[str]:
    """A folder inside the repository, so that nothing outside is ever made or removed."""

    def read(raw: object) -> str:
        value = _text(raw)
        path = PurePosixPath(value)
        if path.is_absolute() or not path.parts or {"..", ".git", "~"} & set(path.parts):
            raise ValueError('must name a folder inside the repository, such as "trees"')
        return str(path)

    return Kind(read, _quoted)


def number(least: int, most: int = 1_000_000_000) -> Kind[int]:
    def read(raw: object) -> int:
        if type(raw) is not int:
            raise ValueError(f"is {_name(raw)}, but must be a whole number without quotes")
        if not least <= raw <= most:
            raise ValueError(f"is out of range; {least} to {most} is possible")
        return raw

    return Kind(read, str, _number_of_text)


def _number_of_text(value: str) -> object:
    return int(value) if re.fullmatch(r"-?[0-9]{1,18}", value.strip()) else value


def load() -> Kind[float]:
    """A load average for each core; 0 = no limit."""

    def read(raw: object) -> float:
        if type(raw) not in (int, float):
            raise ValueError(f"is {_name(raw)}, but must be a number without quotes, such as 4 or 1.5")
        value = float(raw)  # type: ignore[arg-type]  # the line above leaves int and float
        if not 0 <= value <= 1000:
            raise ValueError("is out of range; 0 to 1000 is possible")
        return value

    return Kind(read, lambda value: f"{value:g}", _share_of_text)


def share() -> Kind[float]:
    """A share of one, such as of a processor core."""

    def read(raw: object) -> float:
        if type(raw) not in (int, float):
            raise ValueError(f"is {_name(raw)}, but must be a number without quotes, such as 0.02")
        value = float(raw)  # type: ignore[arg-type]  # the line above leaves int and float
        if not 0 <= value <= 1:
            raise ValueError("is out of range; 0 to 1 is possible")
        return value

    return Kind(read, str, _share_of_text)


def money() -> Kind[float]:
    """US dollars."""

    def read(raw: object) -> float:
        if type(raw) not in (int, float):
            raise ValueError(f"is {_name(raw)}, but must be a number of dollars without quotes, such as 20 or 2.5")
        value = float(raw)  # type: ignore[arg-type]  # the line above leaves int and float
        if not 0 <= value <= 1_000_000:
            raise ValueError("is out of range; 0 to 1000000 is possible")
        return value

    return Kind(read, lambda value: f"{value:.10g}", _share_of_text)


def _share_of_text(value: str) -> object:
    return float(value) if re.fullmatch(r"-?[0-9]{1,9}(\.[0-9]{1,9})?", value.strip()) else value


def flag() -> Kind[bool]:
    def read(raw: object) -> bool:
        if type(raw) is not bool:
            raise ValueError(f"is {_name(raw)}, but must be true or false, without quotes")
        return raw

    words = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    return Kind(read, lambda value: str(value).lower(), lambda value: words.get(value.strip().lower(), value))


def duration(least: str = "0s", most: str = "") -> Kind[timedelta]:
    """A length of time as text; `least` is the shortest allowed, `most` the longest, "" for any."""
    shortest, longest = parse_duration(least), parse_duration(most) if most else LONGEST

    def read(raw: object) -> timedelta:
        if not isinstance(raw, str):
            raise ValueError(f'is {_name(raw)}, but must be text with a unit, such as "20m" or "2s"')
        value = parse_duration(raw)
        if value < shortest:
            raise ValueError(f"is too short; {least} is the least")
        if value > longest:
            raise ValueError(f"is too long; {most} is the most")
        return value

    return Kind(read, lambda value: _quoted(show_duration(value)))


def size() -> Kind[int]:
    def read(raw: object) -> int:
        if not isinstance(raw, str):
            raise ValueError(f'is {_name(raw)}, but must be text with a unit, such as "5GB"')
        return parse_size(raw)

    return Kind(read, lambda value: _quoted(show_size(value)))


@dataclass(frozen=True, slots=True)
class Floor:
    """So much, or so many percent of all there is; 0 = none."""

    least: int = 0
    percent: float = 0.0


def floor(amount: Kind[int]) -> Kind[Floor]:
    """What `amount` reads, or a share of the whole as "5%"."""

    def read(raw: object) -> Floor:
        share = re.fullmatch(r"\s*([0-9]{1,3}(\.[0-9]{1,3})?)\s*%\s*", raw) if isinstance(raw, str) else None
        if share is None:
            return Floor(amount.read(raw))
        if float(share[1]) >= 100:
            raise ValueError("is out of range; less than 100% is possible")
        return Floor(percent=float(share[1]))

    def show(value: Floor) -> str:
        return _quoted(f"{value.percent:g}%") if value.percent else amount.show(value.least)

    return Kind(read, show, amount.from_text)


def words(pattern: str = "", meaning: str = "") -> Kind[tuple[str, ...]]:
    """A list of texts; in the environment and on the command line written as shell words."""
    item = text(pattern, meaning)

    def read(raw: object) -> tuple[str, ...]:
        if not isinstance(raw, list):
            raise ValueError(f'is {_name(raw)}, but must be a list of texts, such as ["a", "b"]')
        return tuple(_item(item, entry) for entry in raw)

    return Kind(read, _show_words, shlex.split)


def _item(kind: Kind[str], entry: object) -> str:
    try:
        return kind.read(entry)
    except ValueError as error:
        raise ValueError(f"has an entry {shown(entry)} that {error}") from error


def _show_words(value: Sequence[str]) -> str:
    return "[" + ", ".join(_quoted(entry) for entry in value) + "]"


def counts() -> Kind[Mapping[str, int]]:
    """A table of names and whole numbers; as text `name=2 "other name"=1`."""
    one = number(0)

    def read(raw: object) -> Mapping[str, int]:
        if not isinstance(raw, dict):
            raise ValueError(f'is {_name(raw)}, but must be a table of numbers, such as {{ "area:db" = 1 }}')
        return MappingProxyType({_text(name): _count(one, name, entry) for name, entry in raw.items()})

    def show(value: Mapping[str, int]) -> str:
        return "{" + ", ".join(f"{_quoted(name)} = {entry}" for name, entry in value.items()) + "}"

    return Kind(read, show, _counts_of_text)


def _count(kind: Kind[int], name: str, entry: object) -> int:
    try:
        return kind.read(entry)
    except ValueError as error:
        raise ValueError(f"has {shown(name)} = {shown(entry)}, which {error}") from error


def _counts_of_text(value: str) -> object:
    pairs = [word.rpartition("=") for word in shlex.split(value)]
    return {name: _number_of_text(entry) for name, _, entry in pairs}


def spans(usual: Mapping[str, str]) -> Kind[Mapping[str, timedelta]]:
    """A table of durations over the usual ones, by the same names; as text `RUNNING=4h BLOCKED=2d`. 0s = none."""
    one = duration()
    default = {name: one.read(value) for name, value in usual.items()}

    def read(raw: object) -> Mapping[str, timedelta]:
        if not isinstance(raw, dict):
            raise ValueError(f'is {_name(raw)}, but must be a table of durations, such as {{ RUNNING = "4h" }}')
        return MappingProxyType({**default, **dict(_span(one, default, *pair) for pair in raw.items())})

    def show(value: Mapping[str, timedelta]) -> str:
        return "{" + ", ".join(f"{name} = {one.show(entry)}" for name, entry in value.items()) + "}"

    return Kind(read, show, lambda value: {name: entry for name, _, entry in
                                           (word.rpartition("=") for word in shlex.split(value))})


def _span(kind: Kind[timedelta], known: Mapping[str, timedelta], name: str, entry: object) -> tuple[str, timedelta]:
    if name.upper() not in known:
        raise ValueError(f"has {shown(name)}, which is none of {', '.join(known)}")
    try:
        return name.upper(), kind.read(entry)
    except ValueError as error:
        raise ValueError(f"has {name} = {shown(entry)}, which {error}") from error


def shown(raw: object, limit: int = 60) -> str:
    """A refused value for an error message: as in TOML, cut, without control characters or passwords."""
    if isinstance(raw, str):
        raw = re.sub(r"//[^/\s]*@", "//***@", raw)
    value = _quoted(raw) if isinstance(raw, str) else str(raw).lower() if isinstance(raw, bool) else repr(raw)
    safe = "".join(letter if letter.isprintable() else f"\\x{ord(letter):02x}" for letter in value)
    return safe if len(safe) <= limit else safe[: limit - 1] + "…"
