"""Every setting: its possible values, that it is documented, and that a new one needs one line only."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.actions.launch.spec import Typed, TypedLimits
from gravscope.base.errors import UsageError
from gravscope.base.quantity import total_memory
from gravscope.launchers.choose import JOB_VARIABLES
from gravscope.settings.known import SETTINGS, SWITCH, VARIABLES, Setting, nearest, variable_of
from gravscope.settings.layers import FOLDERS, Layer, environment, resolve, setting_of
from tests.support import REPOSITORY

DOCUMENT = REPOSITORY / "docs" / "configuration.md"
FILE = Path("/nowhere/gravscope.toml")
# Per setting: a value in TOML and the result.
RIGHT: list[tuple[str, object, object]] = [
    ("jobs_dir", "~/jobs", "~/jobs"),
    ("log_dir", "ログ", "ログ"),
    ("mem_high", "6G", "6G"),
    ("mem_high", 16 * 2**20, "16777216"),
    ("mem_max", "50%", "50%"),
    ("mem_max", "infinity", "infinity"),
    ("swap_max", 0, "0"),
    ("swap_max", "1K", "1K"),
    ("cpu_quota", "150%", "150%"),
    ("cpu_quota", "infinity", "infinity"),
    ("cpu_weight", 1, 1),
    ("io_weight", 10000, 10000),
    ("tasks_max", 2, "2"),
    ("tasks_max", "infinity", "infinity"),
    ("timeout", "1h30m", "1h30m"),
    ("timeout", 0.5, "0.5"),
    ("grace", 0, "0"),
    ("oom_policy", "continue", "continue"),
    ("launcher", "session", "session"),
    ("memsafe", False, False),
    ("memsafe_env.OMP_NUM_THREADS", 2, "2"),
    ("env._a1", "途中 $HOME", "途中 $HOME"),
    ("env.EMPTY", "", ""),
    ("notify.desktop", True, True),
    (
        "notify.webhook",
        "https://hooks.example.org/services/T0/B0/x?y=1#z",
        "https://hooks.example.org/services/T0/B0/x?y=1#z",
    ),
    ("notify.webhook", "http://[::1]:8080", "http://[::1]:8080"),
    ("notify.command", "mail -s done me", "mail -s done me"),
]
WRONG: list[tuple[str, object, str]] = [
    ("jobs_dir", "", "jobs_dir: '' is no folder's name"),
    ("jobs_dir", "a\0b", "jobs_dir: 'a\\x00b' is no folder's name"),
    ("log_dir", 1, "log_dir must be a folder's name, not an integer"),
    ("mem_high", "lots", "mem_high: 'lots' is not a size; write it as 6G, 512M, 50% or infinity"),
    ("mem_high", "15M", "mem_high: 15728640 bytes is too little for any program; give at least 16M"),
    ("mem_max", "0.00001%", "is too little for any program; give at least 16M"),
    ("mem_max", 6.5, 'mem_max must be a size ("6G"), not a float'),
    ("mem_max", -1, "mem_max: '-1' is not a size"),
    ("swap_max", True, 'swap_max must be a size ("6G"), not a boolean'),
    ("cpu_quota", 150, 'cpu_quota must be a percentage ("150%"), not an integer'),
    ("cpu_quota", "150", "cpu_quota: '150' is not a percentage"),
    ("cpu_weight", 0, "cpu_weight: '0' is not a weight; give 1 to 10000; 100 is usual"),
    ("io_weight", "100", "io_weight must be an integer, not a string"),
    ("tasks_max", 1, "tasks_max: '1' is not a number of tasks; give at least 2, or infinity"),
    ("timeout", 0, "timeout: 0 leaves no time to run"),
    ("timeout", float("nan"), "timeout: 'nan' is not a duration"),
    ("grace", [1], 'grace must be a duration ("90s"), not an array'),
    ("oom_policy", "kil", "oom_policy: 'kil' is not kill or continue; did you mean kill?"),
    ("launcher", "slurm", "launcher: 'slurm' is not auto, scope or session"),
    ("memsafe", 1, "memsafe must be true or false, not an integer"),
    ("memsafe", tomllib.loads("a = 2026-01-01")["a"], "memsafe must be true or false, not a date or time"),
    ("memsafe_env", "OMP_NUM_THREADS=2", "memsafe_env must be a table, not a string; write [memsafe_env]"),
    ("env.A", True, "env.A must be a string, not a boolean"),
    ("env.A", "x\0y", "env.A: a variable cannot hold a NUL byte"),
    ("env.A-B", "x", "env.A-B: no variable can have this name"),
    ("env.Ä", "x", 'env."Ä": no variable can have this name'),
    ("notify.desktop", "yes", "notify.desktop must be true or false, not a string"),
    (
        "notify.webhook",
        "hooks.example.org/x",
        "notify.webhook: is no address of the web; write it as https://HOST/PATH",
    ),
    ("notify.webhook", "file:///etc/passwd", "notify.webhook: is no address of the web"),
    ("notify.webhook", "https://me:hush@host/x", "notify.webhook: is no address of the web"),
    ("notify.webhook", "https://host/x\ny", "notify.webhook: is no address of the web"),
    ("notify.command", " ", "notify.command: ' ' is no command"),
]


def in_toml(key: str, value: object) -> Layer:
    """A file that sets `key`."""
    setting, dot, name = key.partition(".")
    return Layer({setting: {name: value} if dot else value}, FILE)


@pytest.mark.parametrize(("key", "value", "comes_to"), RIGHT)
def test_what_a_setting_may_be(key: str, value: object, comes_to: object) -> None:
    """Sizes and durations as strings or numbers, names and variables unchanged; the result is the value as typed."""
    found = resolve([in_toml(key, value)])[key].value
    assert (found, type(found)) == (comes_to, type(comes_to))


@pytest.mark.parametrize(("key", "value", "complaint"), WRONG)
def test_what_a_setting_may_not_be(key: str, value: object, complaint: str) -> None:
    """Each mistake is a UsageError that names the file and the setting, and says what is allowed."""
    with pytest.raises(UsageError) as refused:
        resolve([in_toml(key, value)])
    assert str(refused.value).startswith(f"{FILE}: ")
    assert complaint in str(refused.value)


def test_every_setting_is_tried() -> None:
    """Both lists above contain every setting."""
    for tried in (RIGHT, WRONG):
        assert {setting_of(key) for key, *_ in tried} == set(SETTINGS)


@pytest.mark.parametrize(("key", "value", "comes_to"), [row for row in RIGHT if "env" not in row[0]])
def test_a_variable_says_the_same(key: str, value: object, comes_to: object) -> None:
    """Each value that TOML may hold can be given in GRAVSCOPE_… in the environment, with the same result."""
    name = str(variable_of(key))
    found = resolve([environment({name: str(value).lower() if value is False else str(value)})])[key]
    assert (found.value, found.source.variable) == (comes_to, name)


@pytest.mark.parametrize(
    ("name", "text", "complaint"),
    [
        (
            "GRAVSCOPE_MEM_HIGH",
            "lots",
            "GRAVSCOPE_MEM_HIGH: 'lots' is not a size; write it as 6G, 512M, 50% or infinity",
        ),
        ("GRAVSCOPE_CPU_WEIGHT", "x", "GRAVSCOPE_CPU_WEIGHT must be an integer, not a string"),
        ("GRAVSCOPE_CPU_WEIGHT", "²", "GRAVSCOPE_CPU_WEIGHT must be an integer, not a string"),
        ("GRAVSCOPE_MEMSAFE", "maybe", "GRAVSCOPE_MEMSAFE must be true or false, not a string"),
        ("GRAVSCOPE_LAUNCHER", "\udcff", "GRAVSCOPE_LAUNCHER: '\\udcff' is not auto, scope or session"),
    ],
)
def test_a_wrong_variable_is_named(name: str, text: str, complaint: str) -> None:
    """A UsageError names the variable."""
    with pytest.raises(UsageError) as refused:
        resolve([environment({name: text})])
    assert str(refused.value) == complaint


@pytest.mark.parametrize(
    ("text", "comes_to"),
    [
        ("1", True),
        ("TRUE", True),
        ("yes", True),
        ("on", True),
        ("0", False),
        ("False", False),
        ("no", False),
        ("off", False),
    ],
)
def test_yes_and_no(text: str, comes_to: bool) -> None:
    """The usual words for true and false, in upper and lower case."""
    assert resolve([environment({"GRAVSCOPE_MEMSAFE": text})])["memsafe"].value is comes_to


def test_variables_that_are_no_settings_are_left_alone() -> None:
    """Variables of a job, unknown ones and empty ones have no effect; and no setting uses a variable of a job."""
    names = {variable_of(key) for key in SETTINGS}
    assert not names & {*JOB_VARIABLES, "GRAVSCOPE_STRICT"}
    others = dict.fromkeys([*JOB_VARIABLES, "GRAVSCOPE_MEM_HIHG", "GRAVSCOPE_ENV", "GRAVSCOPE_JOBS"], "x")
    assert environment({**others, **{str(name): "" for name in names}}).values == {}


@given(
    st.sampled_from(sorted(SETTINGS)), st.text(max_size=12) | st.integers() | st.floats() | st.booleans() | st.none()
)
def test_whatever_a_file_holds_is_a_value_or_a_usage_error(key: str, value: object) -> None:
    """No value of any setting, in a file or in a variable, causes a traceback."""
    for layer in (in_toml(key, value), environment({f"GRAVSCOPE_{key.upper()}": str(value)})):
        try:
            resolve([layer])
        except UsageError as error:
            assert key in error.message.lower()


def test_percentages_are_of_this_machine() -> None:
    """The smallest accepted percentage of memory is the one that gives 16M."""
    enough = 100 * 17 * 2**20 / total_memory()
    assert resolve([in_toml("mem_high", f"{enough:.6f}%")])["mem_high"].value
    with pytest.raises(UsageError, match="too little"):
        resolve([in_toml("mem_high", f"{enough / 2:.6f}%")])


def test_the_nearest_name() -> None:
    """A hint if a similar name exists, with dashes or underscores; none if no name is similar."""
    assert nearest("mem-hihg", SETTINGS) == "did you mean mem_high?"
    assert nearest("xyzzy", SETTINGS) is None


def test_settings_are_options() -> None:
    """Every setting that can differ by job is also an option of the same name, so that it can be overridden."""
    typed = {*vars(TypedLimits()), *vars(Typed([]))}
    assert {key for key, setting in SETTINGS.items() if setting.per_job} <= typed | {"memsafe_env"}


def test_a_new_setting_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    """A new line in SETTINGS, with a dot in its name for a table, works in files, for jobs and in the environment."""
    monkeypatch.setitem(SETTINGS, "notify.desktop", Setting(SWITCH, False))
    layer = Layer({"notify": {"desktop": True}, "jobs": {"fit": {"notify": {"desktop": False}}}}, FILE)
    assert resolve([])["notify.desktop"].value is False
    assert resolve([layer])["notify.desktop"].value is True
    assert resolve([layer], "fit")["notify.desktop"].source.table == "jobs.fit.notify"
    assert resolve([layer, environment({"GRAVSCOPE_NOTIFY_DESKTOP": "1"})], "fit")["notify.desktop"].value is True
    with pytest.raises(UsageError, match=r"unknown setting notify\.desktpo; did you mean notify\.desktop\?"):
        resolve([Layer({"notify": {"desktpo": True}}, FILE)])
    with pytest.raises(UsageError, match="unknown setting notify; did you mean"):
        resolve([Layer({"notify": "x"}, FILE)])


# the document


def test_every_setting_is_documented() -> None:
    """docs/configuration.md has a row for each, with its default, its variable, and whether it can be set per job."""
    rows = re.findall(
        r"^\| `([\w.]+)` \| [^|]+ \| ([^|]+) \| ([^|]+) \| (yes|no) \|", DOCUMENT.read_text(), re.MULTILINE
    )
    said = {
        key: (default.strip("`"), variable.strip("`"), per_job == "yes") for key, default, variable, per_job in rows
    }
    assert said == {key: _said(key, setting) for key, setting in SETTINGS.items()}


def _said(key: str, setting: Setting) -> tuple[str, str, bool]:
    if key in FOLDERS:
        return f"tmp/{key.removesuffix('_dir').replace('log', 'logs')}", str(variable_of(key)), setting.per_job
    default = "-" if setting.default is None else str(setting.default)
    if isinstance(setting.default, Mapping):
        default = "see below" if setting.default else "-"
    elif isinstance(setting.default, bool):
        default = str(setting.default).lower()
    return default, variable_of(key) or "-", setting.per_job


def test_documented_defaults_of_variables_are_right() -> None:
    """docs/configuration.md lists the variables of memsafe_env with their values."""
    text = DOCUMENT.read_text()
    for key, setting in SETTINGS.items():
        if setting.kind is VARIABLES and isinstance(setting.default, Mapping):
            assert all(f"`{name}={value}`" in text for name, value in setting.default.items()), key


def test_the_documents_examples_hold() -> None:
    """Every `toml` block of docs/configuration.md is a valid gravscope.toml."""
    blocks = re.findall(r"^```toml\n(.*?)^```$", DOCUMENT.read_text(), re.MULTILINE | re.DOTALL)
    assert blocks
    for block in blocks:
        found = resolve([Layer(tomllib.loads(block), FILE)], "rep6_ab_full")
        if "notify" in block:
            assert found["notify.desktop"].value is True
            continue
        assert found["mem_high"].value == "6G"
        assert found["cpu_weight"].value == 50
