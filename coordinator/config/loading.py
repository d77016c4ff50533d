"""From files, environment and options to a Config. Later layers win; each key knows where it came from."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from types import MappingProxyType
from typing import Any

from coordinator.config.kinds import Kind, shown
from coordinator.config.rooting import user_file
from coordinator.config.sections import LADDER, Config, Host, ProviderSection

DEFAULT = "default"
RESERVED_HOSTS = ("local", "slurm", "all")
"""Words that stand for this machine, for Slurm and for every host: no host may be called so."""
COMMAND_LINE = "command line"

_PREFIX = "COORDINATOR_"
_LARGEST_FILE = 1_000_000
_MASKED = "***"
_NAME_CHARACTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-")


class ConfigError(Exception):
    """The configuration cannot be used. `words` say what is wrong and where, `cure` what to do."""

    def __init__(self, words: str, cure: str) -> None:
        super().__init__(f"{words}\n  {cure}")
        self.words = words
        self.cure = cure


@dataclass(frozen=True, slots=True)
class Entry:
    """One key as `config show` prints it: dotted name, value as TOML, where it came from."""

    key: str
    value: str
    origin: str


@dataclass(frozen=True, slots=True)
class _Given:
    """A value somebody wrote: still unread, with the words that name its place in errors."""

    raw: object
    origin: str
    place: str


_Keys = dict[str, Kind[Any]]
_Layer = dict[tuple[str, str], _Given]


def _kinds(section: type) -> _Keys:
    return {one.name: one.metadata["kind"] for one in fields(section)}


_SECTIONS: Mapping[str, Any] = {
    one.name: one.default_factory
    for one in fields(Config) if one.name not in ("providers", "hosts", "fallback", "origins")
}
_KINDS: Mapping[str, _Keys] = {name: _kinds(section) for name, section in _SECTIONS.items()}
_NAMED: Mapping[str, Any] = {"providers": ProviderSection, "hosts": Host}
"""Sections of which there are any number, each with a name: [providers.claude], [hosts.NAME]."""
_NAMED_KINDS: Mapping[str, _Keys] = {name: _kinds(section) for name, section in _NAMED.items()}
_EXAMPLES = {"providers": ("provider", "claude"), "hosts": ("host", "epyc12")}
_FALLBACK = "fallback"
_ALL_SECTIONS = (*_KINDS, _FALLBACK, *_NAMED)


def load(path: Path | None, environ: Mapping[str, str], overrides: Mapping[str, str] | None = None) -> Config:
    """The configuration in force: options, environment, `path`, the user's file, defaults.

    `overrides` maps dotted keys to text; `path` is the repository's coordinator.toml, None without
    one. Raises ConfigError.
    """
    layer: _Layer = {}
    user = user_file(environ)
    if user is not None and user.is_file():
        layer.update(_of_file(user))
    if path is not None:
        layer.update(_of_file(path))
    layer.update(_of_environment(environ))
    layer.update(_of_overrides(overrides or {}))
    return _build(layer)


def entries(config: Config) -> tuple[Entry, ...]:
    """All keys in force, in the order of the sections."""
    groups = [(name, getattr(config, name), _KINDS[name]) for name in _SECTIONS]
    named = [(f"{group}.{name}", one, _NAMED_KINDS[group])
             for group in _NAMED for name, one in getattr(config, group).items()]
    return (
        *(one for group in groups for one in _entries(config, *group)),
        *(_entry(config, f"{_FALLBACK}.{name}", LADDER.show(ladder)) for name, ladder in config.fallback.items()),
        *(one for group in named for one in _entries(config, *group)),
    )


def _entries(config: Config, group: str, section: Any, keys: _Keys) -> Iterator[Entry]:
    return (_entry(config, f"{group}.{key}", kind.show(getattr(section, key))) for key, kind in keys.items())


def _entry(config: Config, key: str, value: str) -> Entry:
    return Entry(key, value, config.origins[key])


# --- layers -----------------------------------------------------------------------------------------


def _of_file(path: Path) -> _Layer:
    layer: _Layer = {}
    for name, table in _parsed(path).items():
        if name in _NAMED:
            _want_table(table, name, str(path))
            for one, section in table.items():
                _check_name(name, one, str(path))
                layer.update(_of_table(section, f"{name}.{one}", _NAMED_KINDS[name], str(path)))
        elif name == _FALLBACK:
            _want_table(table, name, str(path))
            for provider in table:
                _check_name("providers", provider, str(path))
            layer.update(_of_table(table, name, dict.fromkeys(table, LADDER), str(path)))
        elif name in _KINDS:
            layer.update(_of_table(table, name, _KINDS[name], str(path)))
        else:
            what = "section" if isinstance(table, dict) else "key outside of any section:"
            raise _unknown(str(path), what, f"[{name}]" if isinstance(table, dict) else name, _ALL_SECTIONS)
    return layer


def _of_table(table: object, group: str, keys: _Keys, file: str) -> Iterator[tuple[tuple[str, str], _Given]]:
    _want_table(table, group, file)
    assert isinstance(table, dict)
    for key, raw in table.items():
        if key not in keys:
            raise _unknown(f"{file}: [{group}]", "key", key, keys)
        yield (group, key), _Given(raw, file, f"{file}: {group}.{key}")


def _want_table(table: object, group: str, file: str) -> None:
    if not isinstance(table, dict):
        cure = f"Write [{group}] on a line of its own."
        raise ConfigError(f"{file}: `{group}` must be a section, not a value", cure)


def _check_name(group: str, name: str, place: str) -> None:
    if not name or len(name) > 64 or not set(name) <= _NAME_CHARACTERS:
        what, example = _EXAMPLES[group]
        raise ConfigError(f"{place}: {shown(name)} is no name of a {what}", f"Write one such as [{group}.{example}].")


def _parsed(path: Path) -> dict[str, Any]:
    try:
        with path.open("rb") as file:
            content = file.read(_LARGEST_FILE + 1)
        if len(content) > _LARGEST_FILE:
            raise ConfigError(f"{path}: is larger than 1 MB", "A few dozen lines do; is this the right file?")
        return tomllib.loads(content.decode("utf-8-sig"))
    except FileNotFoundError as error:
        raise ConfigError(f"{path}: there is no such file", "Write one with: coordinator init") from error
    except OSError as error:
        words = f"{path}: cannot be read: {error.strerror}"
        raise ConfigError(words, f"Look at it with: ls -ld '{path}'") from error
    except UnicodeDecodeError as error:
        words = f"{path}: byte {error.start} is no UTF-8 text"
        raise ConfigError(words, "Save the file as UTF-8.") from error
    except (ValueError, RecursionError) as error:
        words = f"{path}: is no valid TOML: {error}"
        raise ConfigError(words, "Mend that line; texts stand in quotes.") from error


def _of_environment(environ: Mapping[str, str]) -> _Layer:
    """COORDINATOR_<SECTION>_<KEY>; other COORDINATOR_ variables belong to others (COORDINATOR_JOBS_DIR)."""
    layer: _Layer = {}
    for variable in sorted(environ):
        section, _, key = variable.removeprefix(_PREFIX).lower().partition("_")
        if not variable.startswith(_PREFIX) or not key:
            continue
        if section in _NAMED:
            group, key, keys = _named_variable(variable, section, key)
        elif section == _FALLBACK:
            group, key = section, key.replace("_", "-")
            keys = {key: LADDER}
        elif section in _KINDS:
            group, keys = section, _KINDS[section]
        else:
            continue
        if key not in keys:
            raise _unknown(f"environment {variable}: [{group}]", "key", key, keys)
        layer[group, key] = _of_text(environ[variable], keys[key], f"environment {variable}", variable)
    return layer


def _named_variable(variable: str, section: str, rest: str) -> tuple[str, str, _Keys]:
    """COORDINATOR_PROVIDERS_CC_GLM_MAX_TURNS: the longest key at its end, before it the name, _ for -."""
    keys = _NAMED_KINDS[section]
    for key in sorted(keys, key=len, reverse=True):
        name = rest.removesuffix(f"_{key}")
        if name not in (rest, ""):
            return f"{section}.{name.replace('_', '-')}", key, keys
    cure = f"Write COORDINATOR_{section.upper()}_<NAME>_<KEY>; the keys are {', '.join(keys)}."
    raise ConfigError(f"environment {variable}: names no key of a {_EXAMPLES[section][0]}", cure)


def _of_overrides(overrides: Mapping[str, str]) -> _Layer:
    layer: _Layer = {}
    for dotted, text in overrides.items():
        group, _, key = dotted.rpartition(".")
        section, _, name = group.partition(".")
        if section in _NAMED and "." in group:
            _check_name(section, name, COMMAND_LINE)
            keys = _NAMED_KINDS[section]
        elif group == _FALLBACK:
            _check_name("providers", key, COMMAND_LINE)
            keys = {key: LADDER}
        elif group in _KINDS:
            keys = _KINDS[group]
        else:
            raise _unknown(COMMAND_LINE, "section", group or dotted, _ALL_SECTIONS)
        if key not in keys:
            raise _unknown(f"{COMMAND_LINE}: [{group}]", "key", key, keys)
        layer[group, key] = _of_text(text, keys[key], COMMAND_LINE, f"{COMMAND_LINE}: {dotted}")
    return layer


def _of_text(text: str, kind: Kind[Any], origin: str, place: str) -> _Given:
    try:
        return _Given(kind.from_text(text), origin, place)
    except ValueError as error:
        value = _MASKED if kind.secret else shown(text)
        raise ConfigError(f"{place} = {value} cannot be split: {error}", "Close the quotes.") from error


def _unknown(place: str, what: str, word: str, known: Iterable[str]) -> ConfigError:
    """An unknown word, with the one that was meant or the list of all."""
    import difflib  # some 8 ms that `status` in a watch never needs

    names = list(known)
    words = f"{place}: unknown {what} {shown(word, 80)[1:-1]}"
    if "token" in word.lower():
        return ConfigError(words, "No token stands in a file: set GITHUB_TOKEN, or run: gh auth login")
    close = difflib.get_close_matches(word[:100].lower().strip("[]"), names, n=1)
    return ConfigError(words, f"Did you mean `{close[0]}`?" if close else f"Known are: {', '.join(names)}.")


# --- building ---------------------------------------------------------------------------------------


def _build(layer: _Layer) -> Config:
    origins: dict[str, str] = {}
    sections = {
        name: _section(section, name, _KINDS[name], layer, origins) for name, section in _SECTIONS.items()
    }
    named: dict[str, Any] = {name: _all_named(name, layer, origins) for name in _NAMED}
    ladders = {name: _read(given, LADDER) for (group, name), given in layer.items() if group == _FALLBACK}
    origins |= {f"{_FALLBACK}.{name}": layer[_FALLBACK, name].origin for name in ladders}
    config = Config(**sections, **named, fallback=MappingProxyType(ladders), origins=MappingProxyType(origins))
    _check_together(config)
    return config


def _all_named(name: str, layer: _Layer, origins: dict[str, str]) -> Mapping[str, Any]:
    groups = dict.fromkeys(group for group, _ in layer if group.startswith(f"{name}."))
    return MappingProxyType({
        group.partition(".")[2]: _section(_NAMED[name], group, _NAMED_KINDS[name], layer, origins) for group in groups
    })


def _section(section: type, group: str, keys: _Keys, layer: _Layer, origins: dict[str, str]) -> Any:
    values = {}
    for key, kind in keys.items():
        given = layer.get((group, key))
        origins[f"{group}.{key}"] = given.origin if given else DEFAULT
        if given:
            values[key] = _read(given, kind)
    return section(**values)


def _read(given: _Given, kind: Kind[Any]) -> Any:
    try:
        return kind.read(given.raw)
    except ValueError as error:
        words = f"{given.place} = {_MASKED if kind.secret else shown(given.raw)} {error}"
        raise ConfigError(words, "Mend the value, or take it out for the default.") from error


def _check_together(config: Config) -> None:
    """What no single key can tell."""
    if config.retry.backoff > config.retry.backoff_max:
        where = config.origins["retry.backoff"]
        cure = "Make the second the larger."
        raise ConfigError(f"{where}: retry.backoff is longer than retry.backoff_max", cure)
    if config.repository.claim_lease < 2 * config.repository.claim_renew:
        words = f"{config.origins['repository.claim_lease']}: repository.claim_lease is less than twice claim_renew"
        raise ConfigError(words, "One renewal that fails must not cost the claim: make the lease longer.")
    for name, ladder in config.fallback.items():
        if len({name, *ladder}) <= len(ladder):
            where = config.origins[f"{_FALLBACK}.{name}"]
            words = f"{where}: fallback.{name} = {LADDER.show(ladder)} names a provider twice, or {name} itself"
            raise ConfigError(words, "Name each provider once; the one on the left is always tried first.")
    _check_hosts(config)
    seen: dict[str, str] = {}
    for key in _KINDS["labels"]:
        name = getattr(config.labels, key).lower()
        if key != "mode" and name in seen:
            where = config.origins[f"labels.{key}"]
            words = f"{where}: labels.{key} and labels.{seen[name]} are both {shown(name)}"
            raise ConfigError(words, "Each label means one thing: give them different names.")
        seen[name] = key


def _check_hosts(config: Config) -> None:
    for name, host in config.hosts.items():
        if name in RESERVED_HOSTS:
            raise ConfigError(f"hosts.{name}: the name stands for something else", "Give the host another name.")
        if not host.address:
            where = next((at for key, at in config.origins.items() if key.startswith(f"hosts.{name}.")), COMMAND_LINE)
            raise ConfigError(f"{where}: hosts.{name} has no address", f"Set hosts.{name}.address, as ssh takes it.")
    defaults = [name for name, host in config.hosts.items() if host.default]
    if len(defaults) > 1:
        words = f"hosts {' and '.join(defaults)} are both the default"
        raise ConfigError(words, "Leave `default = true` with one of them.")
    if config.slurm.login and config.slurm.login not in config.hosts:
        where, known = config.origins["slurm.login"], ", ".join(config.hosts) or "none"
        words = f"{where}: slurm.login = {shown(config.slurm.login)} is no name of [hosts]"
        raise ConfigError(words, f'Known are: {known}. "" gives jobs to the Slurm of this machine.')
