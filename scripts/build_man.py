#!/usr/bin/env python3
"""Prints the man page, made of the command line itself: .venv/bin/python scripts/build_man.py > docs/gravscope.1"""

from __future__ import annotations

import textwrap

from gravscope import __version__
from gravscope.cli.app import app
from gravscope.cli.command_tree import Command, Option, Value, read
from gravscope.settings.known import SETTINGS, variable_of

DESCRIPTION = """
gravscope starts heavy jobs on a Linux machine, each in a place of its own with memory limits, so that none of them
takes the terminal, the editor or the machine down with it. It keeps a record of every job, from which one knows for
certain whether the job succeeded, failed, was killed for memory, or was cancelled, and why.

A job gets a scope of the user's service manager where there is one, with limits that the kernel holds, and a session of
its own elsewhere, in which gravscope watches its memory. gravscope doctor finds out which of them this machine has.
"""

WORDS = {
    "JOB": "An id, the beginning or the end of one, a name (then its newest job), or the file of a record.",
    "SIZE": "As systemd.resource-control(5) has it: 6G, 512M, 50% of the machine's memory, or infinity. 6g, 6GB and "
    "6GiB are the same as 6G.",
    "PERCENT": "Of one core: 150% is one and a half.",
    "DURATION": "As systemd.time(7) has it: 90s, 10m, 1h30m, or infinity.",
}

EXIT_STATUS = {
    "0": "Done.",
    "1": "The job failed; the guard refused; the job was still there after cancel.",
    "2": "Usage: an unknown option, a size that is none, a command that could not be started.",
    "3": "No such job.",
    "4": "Refused: with --unique, a job of that name still runs; or the job has ended already.",
    "5": "This machine cannot do what was demanded.",
    "6": "The folder of records, or a record in it, is broken.",
    "124": "Waiting timed out; the job goes on.",
    "130": "Ctrl-C.",
    "141": "Whoever read the output went away.",
}
OWN_STATUS = """
wait of one job, run --wait and run --follow exit with the job's own status: its exit status, 128+N if signal N ended
it, 137 if it was killed for memory, and never 0 unless it succeeded.
"""

FOR_JOBS = {
    "GRAV_BG_JOB": "1 in every job: a guarded script runs only with it.",
    "GRAVSCOPE_JOB_ID, GRAVSCOPE_NAME, GRAVSCOPE_UNIT": "What a job is; the last only in a scope.",
    "GRAVSCOPE_INVOCATION_ID": "A random number, by which a job's processes are found again.",
}
OTHERS = {
    "XDG_STATE_HOME, XDG_CONFIG_HOME": "Stand in for ~/.local/state and ~/.config.",
    "XDG_RUNTIME_DIR, DBUS_SESSION_BUS_ADDRESS": "Lead to the user's service manager; derived where they are unset.",
    "GRAVSCOPE_NO_BUS": "Not empty: systemctl is called even where pystemd is installed.",
}

FILES = {
    "gravscope.toml, pyproject.toml": "The settings of a project, the latter in its table tool.gravscope. The nearest "
    "folder upwards that has one is the project.",
    "~/.config/gravscope/config.toml": "The user's settings, for all projects.",
    "tmp/jobs/ID.json, tmp/logs/ID.log": "A job's record and its log, in a project that does not set its folders.",
    "~/.local/state/gravscope/jobs, ~/.local/state/gravscope/logs": "The same outside of any project.",
    "~/.config/systemd/user/gravscope.slice": "The limits of all jobs together; gravscope units install writes it.",
}

EXAMPLES = {
    "Start a job with limits, follow its log, and ask how it ended:": [
        "gravscope run -n fit --mem-high 6G --mem-max 8G -- python3 fit.py",
        "gravscope logs -f fit",
        "gravscope show fit",
    ],
    "Stay until it has ended, with its exit status:": ["gravscope run --wait -- make report"],
    "A pipeline, as one string for bash:": ["gravscope run -c 'seq 1000 | sort | tail -n 3'"],
    "End it, with a minute between SIGTERM and SIGKILL:": ["gravscope cancel --grace 1m fit"],
    "Completion, for this bash:": [". <(gravscope completion bash)"],
}

SEE_ALSO = {
    "systemd-run": 1,
    "systemctl": 1,
    "journalctl": 1,
    "systemd.resource-control": 5,
    "systemd.slice": 5,
    "setsid": 1,
    "nohup": 1,
}
# of a line of the source, for whoever reads that
WIDTH = 76


def page(root: Command) -> str:
    """The whole page."""
    lines = [
        '.\\" Made by scripts/build_man.py from the command line itself. Do not edit.',
        # without a date: the same command line is the same page, whenever it is made
        f'.TH GRAVSCOPE 1 "" "gravscope {__version__}" "User Commands"',
        ".nh",
        ".ad l",
        *section("NAME", [f"gravscope \\- {text(first_lower(root.help.removesuffix('.')))}"]),
        *section("SYNOPSIS", [synopsis(root)]),
        *section("DESCRIPTION", paragraphs(DESCRIPTION)),
        *section("COMMANDS", [line for command in root.walk() if not command.commands for line in subsection(command)]),
        *section("OPTIONS", [line for option in root.options for line in of_option(option)]),
        ".PP",
        "What stands in capitals above is:",
        *(line for word, what in WORDS.items() for line in tagged(f"\\fI{word}\\fR", what)),
        *section("EXIT STATUS", [line for status, what in EXIT_STATUS.items() for line in tagged(status, what)]),
        ".PP",
        *paragraphs(OWN_STATUS),
        *section("ENVIRONMENT", environment()),
        *section("FILES", [line for names, what in FILES.items() for line in tagged(literal(names), what)]),
        *section("EXAMPLES", [line for what, commands in EXAMPLES.items() for line in example(what, commands)][1:]),
        *section("SEE ALSO", [",\n".join(f"\\fB{text(name)}\\fR({number})" for name, number in SEE_ALSO.items())]),
    ]
    return "\n".join(lines) + "\n"


def section(title: str, lines: list[str]) -> list[str]:
    """A heading, and what stands below it."""
    return [f".SH {title}", *lines]


def subsection(command: Command) -> list[str]:
    """One command: how it is typed, what it does, its options."""
    own = [option for option in command.options if "--help" not in option.names]
    about = [each for each in command.arguments if each[1]]
    return [
        f".SS {synopsis(command)}",
        *paragraphs(command.help),
        *(line for value, what in about for line in tagged(f"\\fI{value.metavar}\\fR", what)),
        *(line for option in own for line in of_option(option)),
    ]


def synopsis(command: Command) -> str:
    """How a command is typed, on one line."""
    words = [f"\\fB{text(' '.join(['gravscope', *command.words]))}\\fR"]
    words += ["[\\fIOPTIONS\\fR]"]
    words += ["\\fICOMMAND\\fR [\\fIARGUMENTS\\fR]"] if command.commands else []
    return " ".join([*words, *(argument(value) for value, _ in command.arguments)])


def argument(value: Value) -> str:
    """How an argument is typed: in brackets if it may be left away."""
    shown = f"\\fI{value.metavar}\\fR" + ("..." if value.repeated else "")
    needed = value.required or value.launches
    return ("[\\-\\-] " if value.launches else "") + (shown if needed else f"[{shown}]")


def of_option(option: Option) -> list[str]:
    """An option, what it takes, and what it does."""
    names = ", ".join(f"\\fB{text(name)}\\fR" for name in sorted(option.names, key=lambda name: name.startswith("--")))
    if option.value is None:
        return tagged(names, option.help)
    words = "|".join(f"\\fB{text(word)}\\fR" for word in option.value.choices)
    takes = words or f"\\fI{text(option.value.metavar)}\\fR"
    return tagged(f"{names} {takes}", option.help)


def environment() -> list[str]:
    """Settings by the variables that set them, and what else there is."""
    settings = ", ".join(name for key in SETTINGS if (name := variable_of(key)))
    return [
        *tagged(literal(settings), "Settings, each as in a file; gravscope config shows all of them."),
        *(line for names, what in {**OTHERS, **FOR_JOBS}.items() for line in tagged(literal(names), what)),
    ]


def example(what: str, commands: list[str]) -> list[str]:
    """A sentence, and what to type."""
    return [".PP", *paragraphs(what), ".PP", ".RS 4", ".nf", *map(text, commands), ".fi", ".RE"]


def tagged(tag: str, what: str) -> list[str]:
    """Something, and what it is."""
    return [".TP", tag, *paragraphs(what)]


def paragraphs(prose: str) -> list[str]:
    """Prose in lines that a reader of the source can bear."""
    found: list[str] = []
    for paragraph in prose.strip().split("\n\n"):
        words = " ".join(paragraph.split())
        found += [*([".PP"] if found else []), *map(text, textwrap.wrap(words, WIDTH, break_on_hyphens=False))]
    return found


def literal(names: str) -> str:
    """Names as they are typed."""
    return ", ".join(f"\\fB{text(name)}\\fR" for name in names.split(", "))


def text(plain: str) -> str:
    """`plain` so that roff shows it as it is (groff_char(7))."""
    for character, name in {"\\": "\\e", "-": "\\-", "'": "\\(aq", "~": "\\(ti", "^": "\\(ha"}.items():
        plain = plain.replace(character, name)
    return f"\\&{plain}" if plain.startswith(".") else plain


def first_lower(sentence: str) -> str:
    """As whatis(1) wants it."""
    return sentence[:1].lower() + sentence[1:]


if __name__ == "__main__":
    print(page(read(app)), end="")
