"""Trap 48: what looks like a secret is never shown, whichever way it was passed."""

from __future__ import annotations

import json
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gravscope.actions.launch.dry_run import dry_run
from gravscope.actions.launch.spec import Typed, default_name, make_spec
from gravscope.actions.look.status import Standing
from gravscope.base.errors import StoreError, UsageError
from gravscope.base.redact import HIDDEN, redact_command, redact_environment, redact_text, redact_word
from gravscope.cli.messages import note
from gravscope.cli.show import in_words
from gravscope.cli.status import as_json, table
from gravscope.records.model import JobRecord
from gravscope.records.redacted import redacted
from gravscope.settings.project import Project

SHELL: dict[str, Any] = {"shell": True}
SECRET = [
    "GITHUB_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "PGPASSWORD",
    "ROOT_PASSWD", "GPG_PASSPHRASE", "OPENAI_API_KEY", "APIKEY", "SSH_PRIVATE_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
    "SESSION_COOKIE", "NPM_AUTH", "SLACK_WEBHOOK", "SLACK_WEBHOOK_URL", "SENTRY_DSN", "api_key", "Token",
    "MYSQL_PWD", "DB_PASS", "PASS", "DJANGO_SECRET_KEY", "OPENAI_KEY", "ENCRYPTION_KEY", "REDISCLI_AUTH", "apiKey",
    "ACCESS_TOKENS", "AZURE_STORAGE_CONNECTION_STRING", "SOME_JWT", "AUTHORIZATION", "db.password", "MAX_TOKEN_SECRET",
    "PASSWORD_PROFILE", "RESTIC_PASSWORD_COMMAND", "VAULT_TOKEN", "TOKENIZER_TOKEN", "SECRET_SORT_KEY",
]  # fmt: skip
OPEN = [
    "PATH", "HOME", "OMP_NUM_THREADS", "PYTHONUNBUFFERED", "KEY", "MONKEY", "KEYBOARD", "SSH_AUTH_SOCK", "AUTHOR",
    "PWD", "OLDPWD", "DSN_HOST", "COMPASS", "GRAVSCOPE_JOB_ID", "", "TOKENIZERS_PARALLELISM", "MAX_NEW_TOKENS",
    "max_tokens", "NUM_TOKENS_PER_BATCH", "PASSES", "BYPASS", "SORT_KEY", "PRIMARY_KEY", "SSH_PUBLIC_KEY",
    "DB_PASSWORD_FILE", "AWS_WEB_IDENTITY_TOKEN_FILE", "MALLOC_ARENA_MAX", "GIT_AUTHOR_NAME", "XDG_SESSION_PATH",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET)
def test_the_value_of_a_secret_looking_name_is_hidden(name: str) -> None:
    """In upper or lower case; the name itself is shown, so that a reader sees that it is set."""
    assert redact_environment({name: "s3cr3t"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", OPEN)
def test_other_values_are_shown(name: str) -> None:
    """A name that only resembles that of a secret does not hide its value."""
    assert redact_environment({name: "x"}) == {name: "x"}


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12)), st.sampled_from(SECRET), st.text(max_size=3))
def test_no_name_is_lost_and_nothing_is_changed_in_place(others: dict[str, str], name: str, around: str) -> None:
    """The result is a copy with every name in the same order; the argument is not changed."""
    given_ = {**others, name: "s3cr3t" + around}
    before = dict(given_)
    found = redact_environment(given_)
    assert list(found) == list(before)
    assert found[name] == HIDDEN
    assert given_ == before


def test_nothing_given_nothing_hidden() -> None:
    """Without variables the result is empty."""
    assert redact_environment({}) == {}


@pytest.mark.parametrize(
    ("typed", "shown"),
    [
        # options and assignments
        ("mysql --password=hush -h db", "mysql --password=*** -h db"),
        ("train --token hush --lr 3", "train --token *** --lr 3"),
        ("train --token --secret hush", "train --token --secret ***"),
        ("mysql --password -h db", "mysql --password *** db"),  # in doubt the value is hidden
        ("java -Ddb.password=hush -jar x.jar", "java -Ddb.password=*** -jar x.jar"),
        ("env API_KEY=hush LR=3 x", "env API_KEY=*** LR=3 x"),
        ("docker run --env=API_KEY=hush img", "docker run --env=API_KEY=*** img"),
        ("helm --set a=1,auth.token=hush", "helm --set a=1,auth.token=***"),
        ("x ---token=hush user[password]=hush", "x ---token=*** user[password]=***"),
        # addresses
        ("psql postgres://bob:hush@db/x", "psql postgres://bob:***@db/x"),
        ("psql postgres://bob:hu@s/h@db:5432/x?a=1", "psql postgres://bob:***@db:5432/x?a=1"),
        ("git clone https://hush@github.com/a/b", "git clone https://***@github.com/a/b"),
        ("pip install git+https://x:hush@github.com/a/b@v1", "pip install git+https://x:***@v1"),
        ("wget https://h/x?a=1&sig=hush&b=2", "wget https://h/x?a=1&sig=***&b=2"),
        ("wget https://h/x?access_token=hush", "wget https://h/x?access_token=***"),
        ("curl https://hooks.slack.com/services/T0/B0/hush", "curl https://hooks.slack.com/services/***"),
        ("curl https://discord.com/api/webhooks/1/hush -d x", "curl https://discord.com/api/webhooks/*** -d x"),
        ("curl https://api.telegram.org/bot1:hush/send", "curl https://api.telegram.org/bot***"),
        # headers and bodies
        ("curl -H 'Authorization: Bearer hush' h", "curl -H 'Authorization: ***' h"),
        ("curl -H 'X-Api-Key:hush' -H 'Cookie: a=hush; b=hush' h", "curl -H 'X-Api-Key:***' -H 'Cookie: ***' h"),
        ("x 'Bearer hush' y", "x 'Bearer ***' y"),
        ("curl -H 'Proxy-Authorization: Basic aHVzaA==' h", "curl -H 'Proxy-Authorization: ***' h"),
        ("""curl -d '{"a": 1, "password": "hush it"}' h""", """curl -d '{"a": 1, "password": ***' h"""),
        # tokens of well-known formats
        ("x ghp_0123456789abcdef0123456789abcdef0123", "x ***"),
        ("x glpat-0123456789abcdef0123 xoxb-1234567890-abc", "x *** ***"),
        ("x eyJhbGciOiJIUzI1.eyJzdWIiOiIxMjM0.SflKxwRJSM", "x ***"),
        *((f"x {token} y", "x *** y") for token in (
            "gho_0123456789abcdef", "ghr_0123456789abcdef", "ghs_0123456789abcdef", "ghu_0123456789abcdef",
            "github_pat_0123456789abcdef", "hf_0123456789abcdef", "npm_0123456789abcdef", "sk-0123456789abcdef",
            "pypi-0123456789abcdef", "AIza0123456789abcdef0123456789abcdef",
        )),
        ("wget https://h/x?code=hush&a=1", "wget https://h/x?code=***&a=1"),
        ("x '-----BEGIN OPENSSH PRIVATE KEY-----\nhush\n-----END OPENSSH PRIVATE KEY-----'", "x ***"),
        # programs for a shell
        ("bash -c 'TOKEN=hush x --password hush --lr 3; y'", "bash -c 'TOKEN=*** x --password *** --lr 3; y'"),
        ("bash -ec 'export A_KEY=\"h u s h\"; x'", "bash -ec 'export A_KEY=***; x'"),
        ("""bash -c 'curl -H "Authorization: Bearer hush" h'""", """bash -c 'curl -H "Authorization: ***" h'"""),
        ("bash -c 'TOKEN=$(cat hush) x'", "bash -c 'TOKEN=*** x'"),
        ("python -c 'f(password = \"hush\", n=3)'", "python -c 'f(password = *** n=3)'"),
        ("ssh h 'TOKEN=hush x'", "ssh h 'TOKEN=***'"),  # not recognised as a program, so all of it is hidden
        # nothing to hide
        ("python fit.py --lr 3 --max-tokens 100 --tokenizer bert", None),
        ("train --token-file /run/token --no-password db --ask-password x", None),
        ("git clone ssh://git@github.com/a/b git@github.com:a/b", None),
        ("pip install git+https://github.com/a/b@v1.0 https://medium.com/@bob/x", None),
        ("psql postgres://bob@db/x -U bob", None),
        ("sort --key 2 --sort-key a a=b KEY=1", None),
        ("mysql -phush", None),  # not recognised as a secret
    ],
)  # fmt: skip
def test_commands(typed: str, shown: str | None) -> None:
    """Words as a user types them: only the secret is replaced, and the text around it stays."""
    assert redact_command(shlex.split(typed)) == shlex.split(shown or typed)


def test_a_shell_string() -> None:
    """With --shell the first word is a program, and the others are its arguments."""
    words = ["TOKEN=hush x --lr 3 $1", "sh", "--password=hush"]
    assert redact_command(words, **SHELL) == ["TOKEN=*** x --lr 3 $1", "sh", "--password=***"]


@pytest.mark.parametrize(
    "message",
    [
        "token_fit_20260101_120000: still there after SIGKILL: 12 (state D)",
        "/home/b/secret/jobs/x.json: Permission denied; is it yours?",
        "no job 'my-token' in /j; did you mean my-token2?",
        "/usr/bin/get-token: No such file or directory",
    ],
)
def test_messages_stay_readable(message: str) -> None:
    """A colon after a word like `token` mostly ends the name of a job or a file, so what follows is shown."""
    assert redact_text(message) == message


# any secret with a recognisable beginning and end, so that a part of it is found in output as well

LEFT, RIGHT = "Qx7", "zW9"
ANY = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=12)
PLAIN = st.text("abcXYZ019._~+/=-", max_size=12)


def telling(texts: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Secrets whose beginning and end do not occur in anything else."""
    return texts.map(lambda text: LEFT + text + RIGHT)


WORDS: list[Callable[[str], list[str]]] = [
    lambda secret: [f"--password={secret}"],
    lambda secret: ["--token", secret, "--lr", "3"],
    lambda secret: [f"TOKEN={secret}"],
    lambda secret: ["--env", f"API_KEY={secret}"],
    lambda secret: [f"--env=DB_PASS={secret}"],
    lambda secret: ["-H", f"Authorization: Bearer {secret}"],
    lambda secret: ["-H", f"X-Auth-Token: {secret}"],
    lambda secret: [f"postgres://bob:{secret}@host/db"],
    lambda secret: [f"--url=amqp://bob:{secret}@host"],
    lambda secret: ["bash", "-c", f"x --password {shlex.quote(secret)} | y"],
    lambda secret: ["bash", "-c", f"AWS_SECRET_ACCESS_KEY={shlex.quote(secret)} y --lr 3"],
]
VARIABLES: list[Callable[[str], tuple[str, str]]] = [
    lambda secret: ("MYSQL_PWD", secret),
    lambda secret: ("DB_PASS", secret),
    lambda secret: ("AWS_SECRET_ACCESS_KEY", secret),
    lambda secret: ("DATABASE_URL", f"postgres://bob:{secret}@host/db"),
    lambda secret: ("EXTRA", f"host=h password={secret}"),
    lambda secret: ("CURL_OPTS", f"Authorization: Bearer {secret}"),
]
# secrets within other text, which therefore contain no character that ends a value
AMONG: list[Callable[[str], str]] = [
    lambda secret: f"curl -H 'Authorization: Bearer {secret}' https://h/ && y",
    lambda secret: f"psql 'postgres://bob:{secret}@host/db' -c x",
    lambda secret: f"curl https://hooks.slack.com/services/{secret} -d x",
    lambda secret: f"curl -d \"{{'token': '{secret}'}}\" h",
]


def shown_of(record: JobRecord, capsys: pytest.CaptureFixture[str]) -> str:
    """Everything that is ever printed from a record, and messages that quote it."""
    found = Standing(record)
    texts = [in_words(found), json.dumps(as_json(found)), table([found], 200), str(record.id)]
    quoting = " ".join(record.cmd)
    if record.shell:
        note(f"command not found: {quoting}")
        note(f"{record.id}: never-started: {quoting}")
        texts.append(json.dumps(as_json(StoreError(quoting))))
    captured = capsys.readouterr()
    return "\n".join([*texts, captured.out, captured.err])


def record_of(command: list[str], shell: bool = False, **fields: Any) -> JobRecord:  # noqa: ANN401 (any field)
    """A record of `command` with the name that the job gets."""
    name = default_name(command, shell=shell)
    return JobRecord(
        id=f"{name}_20260101_120000", name=name, state="failed", cmd=command, shell=shell, cwd="/", log_file="/l",
        created="2026-01-01T12:00:00+09:00", **fields,
    )  # fmt: skip


def fixture_once(test: Callable[..., None]) -> Callable[..., None]:
    """Hypothesis runs all examples of a test with the same captured output; each example reads only its own part."""
    from hypothesis import HealthCheck, settings  # noqa: PLC0415

    return settings(suppress_health_check=[HealthCheck.function_scoped_fixture])(test)


@fixture_once
@given(telling(ANY), st.sampled_from(WORDS), st.booleans())
@example("Qx7'\"$( zW9", WORDS[-1], False)
@example("Qx7@/ :zW9", WORDS[-4], False)
@example("Qx7=TOKEN=zW9", WORDS[-3], True)
def test_no_word_is_ever_shown(
    capsys: pytest.CaptureFixture[str], secret: str, handed: Callable[[str], list[str]], first: bool
) -> None:
    """Not by show, status, --json, --dry-run or a message, nor in the job's name, wherever it is in the command."""
    command = handed(secret) if first else ["python", "-u", "fit.py", *handed(secret)]
    shown = shown_of(record_of(command, reason=f"x {handed('').pop()}"), capsys)
    shown += dry_run(make_spec(Typed(command=command, launcher="session")), PROJECT, ENVIRON).line
    assert LEFT not in shown
    assert RIGHT not in shown


@fixture_once
@given(telling(ANY), st.sampled_from(VARIABLES))
def test_no_variable_is_ever_shown(
    capsys: pytest.CaptureFixture[str], secret: str, handed: Callable[[str], tuple[str, str]]
) -> None:
    """The same for variables that -e sets; the message for an invalid -e or env-file does not contain the value."""
    name, value = handed(secret)
    spec = make_spec(Typed(command=["x"], env=[f"{name}={value}"], launcher="session"))
    shown = shown_of(record_of(["x"], env=spec.env), capsys) + dry_run(spec, PROJECT, ENVIRON).line
    for wrong in (f"{name} ={value}", f"-{name}={value}"):
        with pytest.raises(UsageError) as refused:
            make_spec(Typed(command=["x"], env=[wrong]))
        shown += str(refused.value)
    assert name in shown
    assert LEFT not in shown
    assert RIGHT not in shown


@fixture_once
@given(telling(PLAIN), st.sampled_from(AMONG))
def test_no_part_of_a_shell_string_is_ever_shown(
    capsys: pytest.CaptureFixture[str], secret: str, handed: Callable[[str], str]
) -> None:
    """The same for --shell, and for a message that quotes it."""
    command = [handed(secret)]
    shown = shown_of(record_of(command, **SHELL, reason=f"command not found: {command[0]}"), capsys)
    shown += dry_run(make_spec(Typed(command=command, **SHELL, launcher="session")), PROJECT, ENVIRON).line
    assert LEFT not in shown
    assert RIGHT not in shown


@pytest.mark.parametrize("wrong", ["c2Vj+mV0LXNlY3/ldC1zZWNyZXQtc2Vj==", "s3cr3t-s3cr3t", "s3cr3t s3cr3t"])
def test_a_value_without_its_name_is_not_told(tmp_path: Path, wrong: str) -> None:
    """`-e $TOKEN`, where `-e TOKEN=$TOKEN` was meant: the message does not contain the token."""
    file = tmp_path / "env"
    file.write_text(f"A=1\n{shlex.quote(wrong)}\n")
    for typed in (Typed(command=["x"], env=[wrong]), Typed(command=["x"], env_file=str(file))):
        with pytest.raises(UsageError, match="what is given is not NAME=VALUE"):
            make_spec(typed)


PROJECT = Project(Path("/nowhere/jobs"), Path("/nowhere/logs"))
ENVIRON = {"PATH": "/usr/bin:/bin"}


def test_the_record_itself_is_not_changed() -> None:
    """Redaction makes a copy."""
    record = record_of(["x", "--token", "hush"], env={"TOKEN": "hush"}, warnings=["TOKEN=hush"])
    hidden = redacted(record)
    assert (hidden.cmd, hidden.env, hidden.warnings) == (["x", "--token", "***"], {"TOKEN": "***"}, ["TOKEN=***"])
    assert (record.cmd, record.env, record.warnings) == (["x", "--token", "hush"], {"TOKEN": "hush"}, ["TOKEN=hush"])


@pytest.mark.parametrize(
    "piece",
    [
        "a",
        "a_",
        "a=",
        "token='",
        "a:",
        '"',
        "--a ",
        "$(",
        "token=$(",
        "eyJ",
        "a-b-",
        "max_",
        "token",
        "://@",
        "://a:",
        " ",
    ],
)
def test_long_words_take_no_longer_than_their_length(piece: str) -> None:
    """For text similar to a secret, a word of the kernel's maximum length takes a moment and not minutes."""
    text = "x://@ " + piece * (131_000 // len(piece)) + "="
    redact_text(text)
    redact_word(text)
    redact_environment({text: "x"})
