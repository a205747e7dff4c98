"""What people type for what we have: other tools' commands, options and values, and near misses.

The one place for it: the command line (`gravscope.cli.mistakes`), settings, quantities and the names of jobs ask here.
Loaded only once something has gone wrong. Pure: a table of words, and a nearest match.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterator
from difflib import get_close_matches
from unicodedata import normalize

# How alike two words have to be, from 0 to 1 (difflib): at the first value a typo, at the second a guess.
TYPO, GUESS = 0.75, 0.6

# What to type instead of a command: it stands before the words that followed. Of "A | B", B is for no such words.
COMMANDS: dict[str, str] = {
    **dict.fromkeys(("list", "ls", "ps", "jobs", "queue", "squeue", "stat", "st"), "status"),
    **dict.fromkeys(("top", "htop", "watch", "monitor"), "status --watch"),
    **dict.fromkeys(("start", "submit", "exec", "launch", "spawn", "sbatch", "srun", "bg", "nohup"), "run"),
    **dict.fromkeys(("info", "inspect", "describe", "details", "why", "view", "print"), "show"),
    **dict.fromkeys(("log", "cat", "output", "out", "less", "journal"), "logs"),
    **dict.fromkeys(("tail", "follow", "attach", "fg"), "logs -f"),
    "head": "logs",
    **dict.fromkeys(("kill", "stop", "end", "abort", "terminate", "scancel", "qdel", "quit", "killall"), "cancel"),
    **dict.fromkeys(("rm", "remove", "delete", "del", "forget"), "prune --keep 0 | prune --older-than 30d"),
    **dict.fromkeys(("clean", "purge", "gc", "clear", "cleanup"), "prune --keep 0 | prune --older-than 30d"),
    **dict.fromkeys(("restart", "retry", "again", "redo", "repeat", "requeue"), "rerun"),
    **dict.fromkeys(("suspend", "freeze", "hold"), "pause"),
    **dict.fromkeys(("continue", "cont", "unpause", "thaw", "release", "unfreeze"), "resume"),
    **dict.fromkeys(("limits", "set-property", "update", "set", "renice"), "limit"),
    **dict.fromkeys(("join", "await"), "wait"),
    **dict.fromkeys(("settings", "configure", "conf", "cfg", "options"), "config"),
    **dict.fromkeys(("check", "diagnose", "diag", "healthcheck", "test", "setup", "init"), "doctor"),
    "fix": "doctor --fix",
    **dict.fromkeys(("man", "usage", "commands", "?"), "help"),
    **dict.fromkeys(("completions", "complete", "autocomplete"), "completion"),
    **dict.fromkeys(("where", "which", "file"), "path"),
    **dict.fromkeys(("make", "makefile", "include"), "make-include"),
    "install": "units install",
    "uninstall": "units remove",
    "ver": "--version",
    **dict.fromkeys(("units add", "units enable", "units write"), "units install"),
    **dict.fromkeys(("units uninstall", "units delete", "units rm", "units disable"), "units remove"),
    **dict.fromkeys(("units list", "units ls", "units show"), "units status"),
    **dict.fromkeys(("guard add", "guard insert", "guard write", "guard fix"), "guard install"),
    **dict.fromkeys(("guard list", "guard ls", "guard verify", "guard status"), "guard check"),
}

# What is meant by an option that a command does not have: the first of these that it has. Each is what to type, and
# the words for it; one that ends in a value takes none.
OPTIONS: tuple[tuple[str, str], ...] = (
    (
        "--mem-max",
        "-m --mem --memory --ram --rss --limit-mem --limit-memory --mem-limit --memory-limit --memory-max --max-mem"
        " --max-memory --maxmem --vmem --hard --mem-hard",
    ),
    ("--mem-high", "--memory-high --memory-reservation --soft --mem-soft --high"),
    ("--swap-max", "--swap --memory-swap --memory-swap-max --max-swap --no-swap"),
    ("--cpu-quota", "--cpu --cpus --cores --cpu-limit --limit-cpu --quota --cpus-per-task --num-cpus"),
    ("--cpu-weight", "--cpu-shares --nice"),
    ("--io-weight", "--io --blkio-weight --ionice"),
    ("--tasks-max", "--tasks --max-tasks --pids-limit --nproc --processes"),
    ("--timeout", "-t --time --time-limit --limit-time --walltime --max-time --runtime --kill-after"),
    ("--name", "-J -N --jobname --job-name --job --label --unit"),
    ("--lines", "--tail --number --count --last --head"),
    ("--follow", "-f -F --tail --attach --stream"),
    ("--watch", "-f -F --follow --monitor --live --interval"),
    ("--dry-run", "--dryrun --dry --just-print --simulate --what-if --noop"),
    ("--fg", "-i -it --foreground --interactive --tty --pty --attach"),
    ("--wait", "-W --block --sync"),
    ("--env", "-E --environment --setenv --export --var"),
    ("--cwd", "-C -D -w --workdir --chdir --working-directory --dir --directory --cd"),
    ("--shell", "--bash --sh --command --cmd"),
    ("--grace 0s", "-9 -KILL -SIGKILL -s9 --force -f --now --kill"),
    ("--grace", "--grace-period --kill-timeout --stop-timeout --timeout -t --time"),
    ("--older-than", "--older --before --age --days --until --since"),
    ("--keep", "--keep-last --last --newest"),
    ("--launcher scope", "--scope --systemd --user"),
    ("--launcher session", "--session --setsid --nohup"),
    ("--no-memsafe", "--memunsafe --threads"),
    ("--all", "-a -A"),
    ("--yes", "-y --assume-yes --no-confirm --no-input --force"),
    ("--version", "-v"),
    ("--help", "-?"),
)
# What a command does anyway: to be left away.
NEEDLESS: dict[str, str] = {
    "run": "-d -b --detach --background --bg --daemon --disown --nohup --scope --user --collect --quiet -q",
    "rerun": "-d -b --detach --background --bg --daemon --quiet -q",
    "cancel": "-15 -TERM -SIGTERM",
    "prune": "-y --yes -f --force",
}
# systemd's names for what our options set (systemd-run -p NAME=VALUE)
PROPERTIES: dict[str, str] = {
    "MemoryMax": "--mem-max", "MemoryHigh": "--mem-high", "MemoryLimit": "--mem-max", "MemorySwapMax": "--swap-max",
    "CPUQuota": "--cpu-quota", "CPUWeight": "--cpu-weight", "IOWeight": "--io-weight", "TasksMax": "--tasks-max",
    "RuntimeMaxSec": "--timeout", "TimeoutStopSec": "--grace", "WorkingDirectory": "--cwd", "OOMPolicy": "--oom-policy",
    "Environment": "--env", "EnvironmentFile": "--env-file",
}  # fmt: skip
# Values of options and settings that take one of a few words.
VALUES: dict[str, str] = {
    **dict.fromkeys(("systemd", "systemd-run", "cgroup", "cgroups", "user", "service", "kernel"), "scope"),
    **dict.fromkeys(("setsid", "nohup", "plain", "none", "process", "local"), "session"),
    **dict.fromkeys(("default", "any", "best", "automatic"), "auto"),
    **dict.fromkeys(("killall", "all", "group", "terminate"), "kill"),
    **dict.fromkeys(("one", "single", "ignore", "keep", "go-on"), "continue"),
    **dict.fromkeys(("sh", "dash"), "bash"),
}
# no limit, as other tools write it
_ENDLESS = {"inf", "infinite", "none", "unlimited", "max", "never", "no", "off", "∞", "-1", "forever"}

_NUMBER = r"\d+(?:\.\d+)?"
_SIZE = re.compile(rf"({_NUMBER})\s*([kmgtpe])i?(?:b|bytes?|[a-z]*bytes?)?", re.IGNORECASE | re.ASCII)
_CORES = re.compile(rf"({_NUMBER})\s*(?:x|cpus?|cores?)?", re.IGNORECASE | re.ASCII)
_CLOCK = re.compile(r"(?:(\d{1,3})-)?(\d{1,3}):(\d{1,2})(?::(\d{1,2}))?", re.ASCII)
# below this a CPU quota without its percent sign is a number of cores
_FEW_CORES = 10


def near(given: str, known: Collection[str], cutoff: float = GUESS, count: int = 1) -> list[str]:
    """Those of `known` that `given` looks like, the nearest first, whatever its capitals and underscores."""
    by_key, wanted = {_key(word): word for word in known}, _key(given)
    close = get_close_matches(wanted, by_key, n=count, cutoff=cutoff)
    swapped = [key for key in by_key if _is_swapped(wanted, key)]
    return [by_key[key] for key in dict.fromkeys([*swapped, *close])][:count]


def _is_swapped(one: str, other: str) -> bool:
    """True for two words that differ in the order of two letters side by side, the most usual slip of the fingers."""
    if len(one) != len(other) or one == other:
        return False
    at = next(at for at, letter in enumerate(one) if letter != other[at])
    return one[:at] + one[at + 1 : at + 2] + one[at] + one[at + 2 :] == other


def nearest(given: str, known: Collection[str], cutoff: float = GUESS) -> str | None:
    """The nearest of them; None if there is none."""
    return next(iter(near(given, known, cutoff)), None)


def _key(word: str) -> str:
    return normalize("NFKC", word).casefold().replace("_", "-")


def did_you_mean(given: str, known: Collection[str]) -> str | None:
    """A hint for whoever wrote `given`, if one of `known` is like it, or is what others call it."""
    other = VALUES.get(_key(given))
    found = other if other in known else nearest(given, known)
    return f"did you mean {found}?" if found else None


def setting_for(given: str, known: Collection[str]) -> str | None:
    """A hint for whoever wrote a setting that is not there: what others call it, as an option or a property of systemd,
    or the one that is most like it."""
    key = _key(given)
    options = [ours for ours, others in OPTIONS if {f"--{key}", f"-{given}"} & {*others.split()}]
    options += [ours for prop, ours in PROPERTIES.items() if prop.casefold() == key.replace("-", "")]
    settings = [option.removeprefix("--").replace("-", "_") for option in options]
    found = next((setting for setting in settings if setting in known), None)
    return f"did you mean {found}?" if found else did_you_mean(given, known)


def spelled(given: str, fits: Callable[[str], bool], *, cores: bool = False) -> str | None:
    """How to write the quantity that `given` seems to mean, such that it `fits`; None where that cannot be guessed.
    With `cores`, a number may be one of processors: 1.5 is 150%."""
    return next((text for text in _spellings(given, cores=cores) if fits(text)), None)


def _spellings(given: str, *, cores: bool) -> Iterator[str]:
    """`given` without full-width letters (an input method's), decimal commas, long units and times of the clock."""
    text = normalize("NFKC", given).strip()
    if text.casefold() in _ENDLESS:
        yield "infinity"
    for plain in (text, text.lower(), text.replace(",", "."), text.replace("_", ""), text.lstrip("+-=~<")):
        yield plain
        if size := _SIZE.fullmatch(plain):
            yield f"{size[1]}{size[2].upper()}"
    if cores and (found := _CORES.fullmatch(text)):
        yield f"{float(found[1]) * 100:g}%" if float(found[1]) < _FEW_CORES else f"{found[1]}%"
    if clock := _CLOCK.fullmatch(text):
        days, hours, minutes, seconds = (int(part or 0) for part in clock.groups())
        # HH:MM is as likely as MM:SS; of a time limit the former is (sbatch -t 1:30:00 has both)
        yield "".join(f"{n}{unit}" for n, unit in zip((days, hours, minutes, seconds), "dhms", strict=True) if n)


def command_for(words: str, known: Collection[str]) -> str | None:
    """What to type for a command that is not there ("ls", "units add"), before the words that follow; None where
    nothing is like it."""
    if words in COMMANDS:
        return COMMANDS[words]
    group, _, word = words.rpartition(" ")
    found = nearest(word, known, TYPO)
    if found is None and not group:
        # a typo of a word that is not ours either
        other = nearest(word, [each for each in COMMANDS if " " not in each], TYPO)
        found = COMMANDS[other] if other else nearest(word, known)
    return f"{group} {found}".lstrip() if found else None


def option_for(name: str, known: Collection[str], command: str) -> str | None:
    """What to type for an option that `command` does not have, of the `known` that it has; empty for one that is to be
    left away; None where nothing is like it."""
    if name in NEEDLESS.get(command, "").split():
        return ""
    for ours, others in OPTIONS:
        if name in others.split() and ours.partition(" ")[0] in known:
            return ours
    for other in (f"-{name}", name.replace("_", "-"), name.lower()):
        if other in known:
            return other
    if not name.startswith("--"):
        return None
    found = nearest(name[2:], [each[2:] for each in known if each.startswith("--")], TYPO)
    return f"--{found}" if found else None
