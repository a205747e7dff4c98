"""Trap 48: which variables' values are never shown."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gravscope.actions.hide import HIDDEN, hide_secrets

SECRET = [
    "GITHUB_TOKEN", "HF_TOKEN", "AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID", "DB_PASSWORD", "PGPASSWORD",
    "ROOT_PASSWD", "GPG_PASSPHRASE", "OPENAI_API_KEY", "APIKEY", "SSH_PRIVATE_KEY", "GOOGLE_APPLICATION_CREDENTIALS",
    "SESSION_COOKIE", "NPM_AUTH", "SLACK_WEBHOOK", "SLACK_WEBHOOK_URL", "SENTRY_DSN", "api_key", "Token",
]  # fmt: skip
OPEN = [
    "PATH", "HOME", "OMP_NUM_THREADS", "PYTHONUNBUFFERED", "KEY", "MONKEY", "KEYBOARD", "SSH_AUTH_SOCK", "AUTHOR",
    "PWD", "DSN_HOST", "COMPASS", "GRAVSCOPE_JOB_ID", "",
]  # fmt: skip


@pytest.mark.parametrize("name", SECRET)
def test_the_value_of_a_secret_looking_name_is_hidden(name: str) -> None:
    """In capitals or not; the name itself is shown, so that one can see that it is set."""
    assert hide_secrets({name: "s3cr3t"}) == {name: HIDDEN}


@pytest.mark.parametrize("name", OPEN)
def test_other_values_are_shown(name: str) -> None:
    """What only sounds a little like a secret stays as it is."""
    assert hide_secrets({name: "x"}) == {name: "x"}


@given(st.dictionaries(st.text(max_size=12), st.text(max_size=12)), st.sampled_from(SECRET), st.text(max_size=3))
def test_no_name_is_lost_and_nothing_is_changed_in_place(others: dict[str, str], name: str, around: str) -> None:
    """A copy with every name, in order, however many there are; what was given stays as it was."""
    given_ = {**others, name: "s3cr3t" + around}
    before = dict(given_)
    found = hide_secrets(given_)
    assert list(found) == list(before)
    assert found[name] == HIDDEN
    assert given_ == before


def test_nothing_given_nothing_hidden() -> None:
    """No variables are none."""
    assert hide_secrets({}) == {}
