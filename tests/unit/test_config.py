"""coordinator.toml, environment and options: what is read, what is refused, and in which words."""

from __future__ import annotations

import contextlib
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coordinator.config import (
    Config,
    ConfigError,
    entries,
    find_root,
    load,
    parse_duration,
    parse_size,
    show_duration,
    show_size,
)


def written(tmp_path: Path, content: str | bytes) -> Path:
    path = tmp_path / "coordinator.toml"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def refused(tmp_path: Path, content: str | bytes) -> ConfigError:
    with pytest.raises(ConfigError) as caught:
        load(written(tmp_path, content), {})
    assert caught.value.cure
    return caught.value


# --- durations and sizes --------------------------------------------------------------------------------


@given(st.timedeltas(min_value=timedelta(0), max_value=timedelta(days=3650)))
def test_a_duration_shown_is_read_back_as_the_same(duration: timedelta) -> None:
    assert parse_duration(show_duration(duration)) == duration


@given(st.integers(min_value=0, max_value=10**15 - 1))
def test_a_size_shown_is_read_back_as_the_same(size: int) -> None:
    assert parse_size(show_size(size)) == size


@given(st.text())
def test_any_text_is_a_duration_or_a_value_error(text: str) -> None:
    try:
        assert parse_duration(text) >= timedelta(0)
    except ValueError:
        pass


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("20m", 1200),
        ("2s", 2),
        ("1h30m", 5400),
        ("1h 30m", 5400),
        ("500ms", 0.5),
        ("1.5h", 5400),
        ("0.25s", 0.25),
        ("30d", 30 * 86400),
        ("0", 0),
        (" 5S ", 5),
    ],
)
def test_durations_are_read_as_people_write_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == timedelta(seconds=seconds)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "20",
        "m",
        "-5s",
        "5 apples",
        "1m1h",
        "5s5s",
        "1e9s",
        "nan",
        "inf",
        "٣s",
        "1.5.5h",
        "9" * 400 + "s",
        "4000d",
    ],
)
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no duration|out of order|too long"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("5GB", 5 * 10**9),
        ("5GiB", 5 << 30),
        ("5G", 5 << 30),
        ("500 MB", 5 * 10**8),
        ("12", 12),
        ("0B", 0),
        ("1KB", 1000),
    ],
)
def test_sizes_are_read_as_people_write_them(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1.5GB", "5gigabytes", "5PB", "5iB", "9" * 40])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)


# --- what is in force -----------------------------------------------------------------------------------


def test_without_a_file_the_defaults_are_the_promised_ones() -> None:
    config = load(None, {})
    assert config.poll.interval == timedelta(seconds=15)
    assert config.poll.reserve == 500
    assert config.workers.max == 3
    assert config.workers.timeout == timedelta(hours=2)
    assert config.workers.stall == timedelta(minutes=20)
    assert config.workers.no_mutation == timedelta(minutes=30)
    assert (config.retry.max, config.retry.backoff) == (1, timedelta(seconds=60))
    assert (config.labels.mode, config.labels.auto, config.labels.blocked) == (
        "minimal",
        "rpi-auto",
        "rpi:blocked",
    )
    assert config.caps.sessions_per_day == 50
    assert config.trust.permission == "write"
    assert config.worktree.root == "trees"
    assert config.worktree.push_wip is True
    assert set(config.origins.values()) == {"default"}


def test_a_file_says_only_what_differs(tmp_path: Path) -> None:
    path = written(
        tmp_path,
        """
[repository]
name = "acme/widgets"
[workers]
max = 5
idle_cpu = 1
[worktree]
copy = [".env", "config/local.ini"]
push_wip = false
[caps]
labels = { "area:db" = 1 }
[floors]
disk = "500MB"
[providers.claude]
model = "opus"
max = 2
[providers.cc-glm]
environment = ["CC_GLM_*"]
""",
    )
    config = load(path, {})
    assert config.repository.name == "acme/widgets"
    assert (config.workers.max, config.workers.idle_cpu) == (5, 1.0)
    assert (config.worktree.copy, config.worktree.push_wip) == ((".env", "config/local.ini"), False)
    assert dict(config.caps.labels) == {"area:db": 1}
    assert config.floors.disk.least == 500_000_000
    assert (config.provider("claude").model, config.provider("claude").max) == ("opus", 2)
    assert config.provider("cc-glm").environment == ("CC_GLM_*",)
    assert config.provider("codex").model == ""
    assert config.origins["workers.max"] == str(path)
    assert config.origins["workers.timeout"] == "default"


def test_option_beats_environment_beats_repository_beats_user_beats_default(tmp_path: Path) -> None:
    user = tmp_path / "xdg" / "coordinator" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text('[workers]\nmax = 2\ntemplate = "mine"\nstall = "1m"\ngrace = "1m"\n')
    path = written(tmp_path, '[workers]\nmax = 4\nstall = "2m"\ngrace = "2m"\n')
    environ = {
        "XDG_CONFIG_HOME": str(tmp_path / "xdg"),
        "COORDINATOR_WORKERS_MAX": "6",
        "COORDINATOR_WORKERS_GRACE": "3m",
    }
    config = load(path, environ, {"workers.max": "8"})
    where = {
        key.removeprefix("workers."): config.origins[key]
        for key in config.origins
        if key.startswith("workers.")
    }
    assert (config.workers.max, where["max"]) == (8, "command line")
    assert (config.workers.grace, where["grace"]) == (
        timedelta(minutes=3),
        "environment COORDINATOR_WORKERS_GRACE",
    )
    assert (config.workers.stall, where["stall"]) == (timedelta(minutes=2), str(path))
    assert (config.workers.template, where["template"]) == ("mine", str(user))
    assert (config.workers.provider, where["provider"]) == ("claude", "default")


def test_the_users_file_is_found_below_home_and_a_relative_xdg_folder_does_not_count(tmp_path: Path) -> None:
    user = tmp_path / ".config" / "coordinator" / "config.toml"
    user.parent.mkdir(parents=True)
    user.write_text("[workers]\nmax = 9\n")
    assert load(None, {"HOME": str(tmp_path), "XDG_CONFIG_HOME": "relative"}).workers.max == 9
    assert load(None, {"HOME": str(tmp_path / "elsewhere")}).workers.max == 3


@pytest.mark.parametrize(
    ("variable", "text", "key", "shown"),
    [
        ("COORDINATOR_POLL_INTERVAL", "2s", "poll.interval", '"2s"'),
        ("COORDINATOR_WORKERS_IDLE_CPU", "0.5", "workers.idle_cpu", "0.5"),
        ("COORDINATOR_WORKTREE_PUSH_WIP", "no", "worktree.push_wip", "false"),
        ("COORDINATOR_WORKTREE_COPY", ".env 'a b'", "worktree.copy", '[".env", "a b"]'),
        ("COORDINATOR_CAPS_LABELS", "area:db=1 'a b'=2", "caps.labels", '{"area:db" = 1, "a b" = 2}'),
        ("COORDINATOR_CAPS_MONEY_PER_DAY", "2.5", "caps.money_per_day", "2.5"),
        ("COORDINATOR_FLOORS_DISK", "2GB", "floors.disk", '"2GB"'),
        ("COORDINATOR_PROVIDERS_CC_GLM_MAX_TURNS", "7", "providers.cc-glm.max_turns", "7"),
        ("COORDINATOR_FALLBACK_CC_GLM", "claude codex", "fallback.cc-glm", '["claude", "codex"]'),
        ("COORDINATOR_PROVIDERS_CLAUDE_MAX", "2", "providers.claude.max", "2"),
    ],
)
def test_every_kind_of_value_can_stand_in_the_environment(
    variable: str, text: str, key: str, shown: str
) -> None:
    entry = next(one for one in entries(load(None, {variable: text})) if one.key == key)
    assert (entry.value, entry.origin) == (shown, f"environment {variable}")


def test_variables_of_others_are_left_alone() -> None:
    environ = {
        "COORDINATOR_JOBS_DIR": "/x",
        "COORDINATOR_TOKEN": "t",
        "PATH": "/bin",
        "COORDINATOR_": "",
        "POLL_X": "1",
    }
    assert load(None, environ) == Config(origins=load(None, {}).origins)


def test_what_is_shown_can_be_written_into_a_file_and_means_the_same(tmp_path: Path) -> None:
    overrides = {
        "worktree.after_create": 'echo "a\\b"\n\tmake',
        "caps.labels": "x=1",
        "poll.interval": "90s",
        "providers.command.argv": "sh -c 'exit 0'",
        "fallback.opencode": "gemini cc-glm",
    }
    config = load(None, {}, overrides)
    lines = [
        f"[{one.key.rpartition('.')[0]}]\n{one.key.rpartition('.')[2]} = {one.value}"
        for one in entries(config)
    ]
    seen: dict[str, str] = {}
    for line in lines:
        head, _, value = line.partition("\n")
        seen[head] = f"{seen.get(head, head)}\n{value}"
    again = load(written(tmp_path, "\n".join(seen.values())), {})
    assert [one.value for one in entries(again)] == [one.value for one in entries(config)]
    assert again.fallback == {"opencode": ("gemini", "cc-glm")}
    assert again.worktree.after_create == 'echo "a\\b"\n\tmake'


def test_a_proxys_password_is_used_and_never_shown(tmp_path: Path) -> None:
    config = load(written(tmp_path, '[repository]\nproxy = "http://me:hunter2@proxy:3128"'), {})
    assert config.repository.proxy == "http://me:hunter2@proxy:3128"
    assert not [one for one in entries(config) if "hunter2" in one.value]
    assert "hunter2" not in str(refused(tmp_path, '[repository]\nproxy = "ftp://me:hunter2@proxy"'))


# --- what is refused ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("line", "words", "cure"),
    [
        ("[poll]\nintervall = '5s'", "[poll]: unknown key intervall", "Did you mean `interval`?"),
        ("[pol]\ninterval = '5s'", "unknown section [pol]", "Did you mean `poll`?"),
        ("[workers]\nzzz = 1", "[workers]: unknown key zzz", "Known are: max, provider"),
        ("[quux]\na = 1", "unknown section [quux]", "Known are: repository, poll"),
        ("name = 'a/b'", "unknown key outside of any section: name", "Known are: repository"),
        ("[repository]\ntoken = 'ghp_x'", "unknown key token", "GITHUB_TOKEN"),
        ("[providers.claude]\nmodell = 'x'", "[providers.claude]: unknown key modell", "`model`"),
        ("poll = 5", "`poll` must be a section", "[poll]"),
        ("providers = 5", "`providers` must be a section", "[providers]"),
        ("[providers]\nclaude = 'x'", "`providers.claude` must be a section", "[providers.claude]"),
        ('[providers."a b"]\nmax = 1', '"a b" is no name of a provider', "[providers.claude]"),
        ("[workers]\nmax = '3'", 'workers.max = "3" is text, but must be a whole number', "Mend"),
        ("[workers]\nmax = 0", "workers.max = 0 is out of range; 1 to 1000", "Mend"),
        ("[workers]\nmax = -1", "workers.max = -1 is out of range", "Mend"),
        ("[workers]\nmax = true", "workers.max = true is true or false, but must be a whole number", "Mend"),
        ("[workers]\nmax = 3.5", "workers.max = 3.5 is a number, but must be a whole number", "Mend"),
        ("[workers]\nidle_cpu = nan", "workers.idle_cpu = nan is out of range; 0 to 1", "Mend"),
        ("[workers]\nidle_cpu = '2%'", "is text, but must be a number", "Mend"),
        ("[poll]\ninterval = 15", "poll.interval = 15 is a number, but must be text with a unit", "Mend"),
        ("[poll]\ninterval = ''", 'poll.interval = "" is no duration', "Mend"),
        ("[poll]\ninterval = '0s'", 'poll.interval = "0s" is too short; 1s is the least', "Mend"),
        ("[poll]\ninterval = '-5s'", 'poll.interval = "-5s" is no duration', "Mend"),
        ("[poll]\ninterval = 07:32:00", "is a date or time, but must be text", "Mend"),
        ("[floors]\ndisk = 'lots'", 'floors.disk = "lots" is no size', "Mend"),
        ("[floors]\ndisk = 5", "floors.disk = 5 is a number, but must be text with a unit", "Mend"),
        ("[labels]\nmode = 'some'", 'labels.mode = "some" is not one of minimal, full', "Mend"),
        ("[labels]\nauto = ''", 'labels.auto = "" is empty', "Mend"),
        ("[labels]\nauto = 'a,b'", 'labels.auto = "a,b" is no label', "Mend"),
        ("[labels]\nauto = 'RPI-retry'", "labels.retry and labels.auto are both", "different names"),
        ("[retry]\nbackoff = '1h'", "retry.backoff is longer than retry.backoff_max", "larger"),
        ("[trust]\npermission = 'read'", "is not one of write, maintain, admin", "Mend"),
        ("[trust]\nusers = 'me'", "is text, but must be a list of texts", "Mend"),
        ("[trust]\nusers = ['ok', '']", 'has an entry "" that is empty', "Mend"),
        ("[trust]\nusers = [1]", "has an entry 1 that is a number", "Mend"),
        ("[worktree]\nroot = '../out'", "must name a folder inside the repository", "Mend"),
        ("[worktree]\nroot = '/'", "must name a folder inside the repository", "Mend"),
        ("[worktree]\nroot = '.'", "must name a folder inside the repository", "Mend"),
        ("[worktree]\ncopy = ['../x']", "is no path inside the repository", "Mend"),
        ("[worktree]\npush_wip = 'yes'", "is text, but must be true or false", "Mend"),
        (
            "[repository]\nname = 'widgets'",
            'repository.name = "widgets" is no repository; write "owner/name"',
            "Mend",
        ),
        ("[repository]\nname = 'a/b/c'", "is no repository", "Mend"),
        ("[repository]\napi_url = 'ghe.example'", "is no address that begins with http", "Mend"),
        ("[caps]\nlabels = { x = 'y' }", 'has "x" = "y", which is text', "Mend"),
        ("fallback = 5", "`fallback` must be a section", "[fallback]"),
        ("[fallback]\nclaude = 'codex'", 'fallback.claude = "codex" is text, but must be a list', "Mend"),
        ("[fallback]\n'a b' = ['codex']", '"a b" is no name of a provider', "[providers.claude]"),
        ("[fallback]\nclaude = ['a b']", 'has an entry "a b" that is no name', "Mend"),
        ("[fallback]\nclaude = ['codex', 'claude']", "names a provider twice, or claude itself", "once"),
        ("[fallback]\nclaude = ['codex', 'codex']", "names a provider twice", "once"),
        ("[caps]\nmoney_per_day = '20'", 'caps.money_per_day = "20" is text, but must be a number of dollars', "Mend"),
        ("[caps]\nmoney_per_day = -1", "caps.money_per_day = -1 is out of range", "Mend"),
        ("[caps]\nmoney_per_task = inf", "caps.money_per_task = inf is out of range", "Mend"),
        ("[caps]\nlabels = 3", "is a number, but must be a table of numbers", "Mend"),
    ],
)
def test_a_wrong_line_is_named_with_its_value_and_its_cure(
    tmp_path: Path, line: str, words: str, cure: str
) -> None:
    error = refused(tmp_path, line)
    assert words in error.words
    assert cure in error.cure


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"\x00\x01\x02", "is no valid TOML"),
        (b"\xff\xfe[\x00", "byte 0 is no UTF-8 text"),
        (b"[poll\n", "is no valid TOML"),
        (b"[poll]\ninterval = \n", "at line 2"),
        (b"[poll]\n[poll]\n", "is no valid TOML"),
        (b"a = " + b"[" * 100_000, "is no valid TOML"),
        (b"a = " + b"9" * 10_000, "is no valid TOML"),
        (b"#" * 1_000_001, "larger than 1 MB"),
        (b'[repository]\nbase = "' + b"x" * 5000 + b'"', "longer than 4096 characters"),
        (b'[repository]\nbase = "\\u001b[31m"', "control characters"),
    ],
)
def test_a_file_that_is_rubbish_is_refused_in_words(tmp_path: Path, content: bytes, words: str) -> None:
    error = refused(tmp_path, content)
    assert words in error.words
    assert str(tmp_path / "coordinator.toml") in error.words
    assert "\x1b" not in str(error)
    assert len(str(error)) < 600


@given(content=st.binary(max_size=200))
def test_no_content_escapes_as_another_error(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    folder = tmp_path_factory.getbasetemp() / "any-content"
    folder.mkdir(exist_ok=True)
    path = written(folder, content)
    with contextlib.suppress(ConfigError):
        assert load(path, {}).origins


def test_an_empty_file_and_one_with_a_byte_order_mark_are_fine(tmp_path: Path) -> None:
    assert load(written(tmp_path, ""), {}).workers.max == 3
    assert load(written(tmp_path, b"\xef\xbb\xbf[workers]\nmax = 4\n"), {}).workers.max == 4


def test_names_of_the_whole_world_are_kept(tmp_path: Path) -> None:
    config = load(written(tmp_path, '[labels]\nauto = "自动 🤖"\n[repository]\nbase = "développement"'), {})
    assert (config.labels.auto, config.repository.base) == ("自动 🤖", "développement")


def test_a_file_that_is_missing_or_a_folder_is_named_with_its_cure(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="there is no such file") as missing:
        load(tmp_path / "coordinator.toml", {})
    assert missing.value.cure == "Write one with: coordinator init"
    with pytest.raises(ConfigError, match="cannot be read: Is a directory"):
        load(tmp_path, {})


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        (
            {"COORDINATOR_POLL_INTERVALL": "5s"},
            "environment COORDINATOR_POLL_INTERVALL: [poll]: unknown key intervall",
        ),
        ({"COORDINATOR_POLL_INTERVAL": ""}, 'COORDINATOR_POLL_INTERVAL = "" is no duration'),
        ({"COORDINATOR_WORKERS_MAX": "many"}, 'COORDINATOR_WORKERS_MAX = "many" is text'),
        ({"COORDINATOR_WORKTREE_PUSH_WIP": "maybe"}, 'COORDINATOR_WORKTREE_PUSH_WIP = "maybe" is text'),
        ({"COORDINATOR_WORKTREE_COPY": "'open"}, "cannot be split"),
        ({"COORDINATOR_PROVIDERS_CLAUDE_MODELL": "x"}, "names no key of a provider"),
    ],
)
def test_a_wrong_variable_is_named(environ: dict[str, str], words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, environ)
    assert words in caught.value.words


@pytest.mark.parametrize(
    ("dotted", "text", "words"),
    [
        ("workers.maximum", "3", "command line: [workers]: unknown key maximum"),
        ("worker.max", "3", "command line: unknown section worker"),
        ("max", "3", "command line: unknown section max"),
        ("workers.max", "3000", "command line: workers.max = 3000 is out of range"),
        ("fallback.", "codex", 'command line: "" is no name of a provider'),
        ("providers..max", "3", 'command line: "" is no name of a provider'),
    ],
)
def test_a_wrong_option_is_named(dotted: str, text: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {}, {dotted: text})
    assert words in caught.value.words


# --- where the repository is ----------------------------------------------------------------------------


def test_the_root_is_found_from_any_folder_inside(tmp_path: Path) -> None:
    deep = tmp_path / "src" / "deep"
    deep.mkdir(parents=True)
    (tmp_path / ".git").mkdir()
    assert find_root(deep) == tmp_path
    (tmp_path / "src" / "coordinator.toml").touch()
    assert find_root(deep) == tmp_path / "src"


def test_a_stray_file_above_never_takes_over_a_repository(tmp_path: Path) -> None:
    (tmp_path / "coordinator.toml").touch()
    (tmp_path / "mine" / ".git").mkdir(parents=True)
    assert find_root(tmp_path / "mine") == tmp_path / "mine"


def test_inside_a_worktree_the_repository_it_was_made_from_is_meant(tmp_path: Path) -> None:
    (tmp_path / ".git" / "worktrees" / "gh-1").mkdir(parents=True)
    (tmp_path / "coordinator.toml").touch()
    inside = tmp_path / "trees" / "gh-1" / "src"
    inside.mkdir(parents=True)
    (inside.parent / "coordinator.toml").touch()
    (inside.parent / ".git").write_text(f"gitdir: {tmp_path}/.git/worktrees/gh-1\n")
    assert find_root(inside) == tmp_path


def test_a_submodule_is_a_repository_of_its_own(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    module = tmp_path / "vendor"
    module.mkdir()
    (module / ".git").write_text("gitdir: ../.git/modules/vendor\n")
    assert find_root(module) == module


def test_outside_of_any_repository_there_is_no_root(tmp_path: Path) -> None:
    assert find_root(tmp_path) is None


def test_reading_the_configuration_loads_nothing_but_the_standard_library() -> None:
    code = """
import sys
sys.path.insert(0, sys.argv[1])
before = set(sys.modules)
import coordinator.config
tops = {name.partition(".")[0] for name in set(sys.modules) - before}
print(*sorted(tops - sys.stdlib_module_names))
"""
    argv = [sys.executable, "-I", "-c", code, str(Path(__file__).resolve().parents[2])]
    assert (
        subprocess.run(argv, capture_output=True, text=True, timeout=30, check=True).stdout == "coordinator\n"
    )
