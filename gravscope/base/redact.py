"""Redacts what looks like a secret in commands, variables and messages: it is shown as ***.

Redacted are the values of names that suggest a secret (variables, options, assignments, headers, JSON), passwords in
URLs, and tokens of well-known formats. A secret without such a sign (`mysql -pSECRET`, a word alone) is not recognised.
In doubt a value is redacted. The record itself, which only its owner can read, keeps all values.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from functools import lru_cache

from gravscope.base.redact_hint import may_hold_secret

HIDDEN = "***"

_SECRET_NAME = re.compile(
    r"PASSW(?:OR)?D|PASSPHRASE|PASSCODE|SECRET|TOKEN(?!IZ)|CREDENTIAL|COOKIE|WEBHOOK|BEARER|AUTHORIZATION|SIGNATURE$"
    r"|(?:API|ACCESS|PRIVATE)[_.-]?KEY|CONN(?:ECTION)?[_.-]?STR(?:ING)?$"
    r"|(?:^|[_.-])PASS$|^--AUTH$|(?<=[A-Z0-9])[_.-](?:AUTH|DSN|JWT|PWD|SAS)$"
    r"|(?<=[A-Z0-9])(?<!CACHE)(?<!FOREIGN)(?<!INDEX)(?<!PARTITION)(?<!PRIMARY)(?<!PUBLIC)(?<!SORT)[_.-]KEY$",
    re.IGNORECASE,
)
# names whose value is a path, or a number of a language model's tokens
_HARMLESS_NAME = re.compile(
    r"[_.-](?:FILE|PATH|DIR|STDIN|PROMPT)$"
    r"|(?:^|[_.-])(?:MAX|MIN|NUM|N|TOTAL)[_.-](?:[A-Z]+[_.-])*TOKENS?(?:[_.-]PER[_.-][A-Z]+)?$"
    r"|^[_.-]*TOKENS[_.-]PER[_.-][A-Z]+$",
    re.IGNORECASE,
)
# `NAME: VALUE` counts only for names that are certainly headers or keys, because messages contain colons, too
_HEADER_NAME = re.compile(
    r"(?:.*[-_])?(?:authorization|cookie|token|api[-_]?key|access[-_]?key|auth[-_]?key|secret|secret[-_]key"
    r"|subscription[-_]key|password|passwd|passphrase|signature)",
    re.IGNORECASE,
)
# options that take no value, so that the next word is not theirs
_BARE_OPTION = re.compile(r"--?(?:no|ask|prompt|disable)-", re.IGNORECASE)
_LONG_OPTION = re.compile(r"--[A-Za-z][\w.-]*+(?:=.*)?", re.DOTALL)
# `sh -c TEXT`, `bash -lc TEXT`, `python -c TEXT`: TEXT is a program, and not one value
_PROGRAM_FOLLOWS = re.compile(r"-[A-Za-z]*c")

# what precedes a value; with possessive quantifiers, so that the time stays linear in the length of the text
_ASSIGNING = re.compile(r"(?<![\w.-])([\w.-]++)[\"'\]]{0,2}\s*+[:+?]?=++>?\s*+")
_NAMING = re.compile(r"(?<![\w./-])([\w-]++)[\"']?\s*+:\s*+")
_OPTION = re.compile(r"(?<![\w./-])(--?[A-Za-z][\w.-]*+)\s++")
_BEARER = re.compile(r"\b(bearer)\s++", re.IGNORECASE)
# a value in a shell command: quoted parts, substitutions, escapes, and all other characters that do not end a word
_SHELL_VALUE = re.compile(
    r"""(?:"(?:\\.|[^"\\])*+"|'[^']*+'|`[^`]*+`|\$\([^()]*+\)|\\.|[^\s;&|<>()])++""",
    re.DOTALL,
)
_HEADER_VALUE = re.compile(r"""\s*+(?:"(?:\\.|[^"\\])*+"|'[^']*+'|[^"'\r\n]++)""", re.DOTALL)

_QUERY = re.compile(r"([?&;](?:auth|code|key|pass|pwd|sig)=)[^&;\s\"']++", re.IGNORECASE)
_HOOK = re.compile(
    r"(hooks\.slack\.com/\w++/|discord(?:app)?\.com/api/webhooks/|webhook\.office\.com/|api\.telegram\.org/bot)[^\s\"']++"
)
_KNOWN = re.compile(
    r"\b(?:gh[opsru]_\w{16,}+|github_pat_\w{16,}+|glpat-[\w-]{16,}+|xox[abeprs]-[\w-]{10,}+|hf_\w{16,}+|npm_\w{16,}+"
    r"|sk-[\w-]{16,}+|pypi-[\w-]{16,}+|AIza[\w-]{30,}+|eyJ[\w-]{8,}+\.[\w-]{8,}+\.[\w-]*+)"
    r"|-----BEGIN [A-Z ]{0,30}PRIVATE KEY-----.*+",
    re.DOTALL,
)
_URL = re.compile(r"(?:[\w.-]++=)?[A-Za-z][\w+.-]*+://")
_WEB = re.compile(r"(?:^|\W)https?$", re.IGNORECASE)


@lru_cache(4096)
def is_secret_name(name: str) -> bool:
    """Whether the value of this name is most likely a secret."""
    return _SECRET_NAME.search(name) is not None and _HARMLESS_NAME.search(name) is None


def redact_environment(environment: Mapping[str, str]) -> dict[str, str]:
    """A copy of `environment`, with the values of names that suggest a secret redacted, and secrets in other values."""
    return {name: HIDDEN if is_secret_name(name) else redact_word(value) for name, value in environment.items()}


def redact_command(words: Sequence[str], *, shell: bool = False) -> list[str]:
    """The words of a command, redacted. With `shell` the first word is a program for a shell."""
    if not may_hold_secret(" ".join(words)):
        return list(words)
    shown = []
    is_value, is_program = False, shell
    for word in words:
        if is_value and _LONG_OPTION.fullmatch(word) is None:
            shown.append(HIDDEN)
            is_value = is_program = False
            continue
        shown.append(redact_text(word) if is_program else redact_word(word))
        is_value = word.startswith("-") and "=" not in word and _takes_secret(word)
        is_program = _PROGRAM_FOLLOWS.fullmatch(word) is not None
    return shown


def redact_word(word: str) -> str:
    """One word of a command, or the value of a variable, redacted. After a name that suggests a secret, all the rest
    of the word is hidden."""
    if not may_hold_secret(word):
        return word
    if _URL.match(word):
        word = _hide_userinfo(word)  # of the whole word: a password in it may contain spaces
    for lead, is_secret in ((_ASSIGNING, is_secret_name), (_NAMING, _is_header)):
        for found in lead.finditer(word):
            if is_secret(found[1]):
                return redact_text(word[: found.end()]) + HIDDEN
    return redact_text(word)


def redact_text(text: str) -> str:
    """A program for a shell, or a message, with everything redacted that looks like a secret."""
    if not may_hold_secret(text):
        return text
    if "://" in text and "@" in text:
        text = re.sub(r"\S++", lambda run: _hide_userinfo(run[0]), text)
    text = _KNOWN.sub(HIDDEN, text)
    for shape in (_HOOK, _QUERY):
        text = shape.sub(rf"\g<1>{HIDDEN}", text)
    text = _hide_values(text, _NAMING, _is_header, _HEADER_VALUE)
    text = _hide_values(text, _BEARER, bool, _SHELL_VALUE)
    text = _hide_values(text, _ASSIGNING, is_secret_name, _SHELL_VALUE)
    return _hide_values(text, _OPTION, _takes_secret, _SHELL_VALUE)


def _takes_secret(option: str) -> bool:
    """Whether the word after this option is a secret."""
    return is_secret_name(option) and _BARE_OPTION.match(option) is None


def _is_header(name: str) -> bool:
    return _HEADER_NAME.fullmatch(name) is not None


def _hide_values(text: str, lead: re.Pattern[str], is_secret: Callable[[str], bool], value: re.Pattern[str]) -> str:
    """Hides each value that follows a match of `lead` with the name of a secret. After other matches the search goes on
    within their values."""
    parts, kept, at = [], 0, 0
    while found := lead.search(text, at):
        at = found.end()
        if is_secret(found[1]) and (hidden := value.match(text, at)):
            parts += [text[kept:at], HIDDEN]
            kept = at = hidden.end()
    return "".join([*parts, text[kept:]])


def _hide_userinfo(text: str) -> str:
    """Hides the password in a URL, up to the last @, because it may contain any other character.

    A user without a password is shown, except in http and https URLs, where it is a token.
    """
    begin = text.find("://") + 3
    end = text.rfind("@")
    if begin < 3 or end < begin:
        return text
    user, colon, _ = text[begin:end].partition(":")
    if colon:
        return f"{text[:begin]}{user}:{HIDDEN}{text[end:]}"
    if "/" not in user and _WEB.search(text[: begin - 3]):
        return f"{text[:begin]}{HIDDEN}{text[end:]}"
    return text
