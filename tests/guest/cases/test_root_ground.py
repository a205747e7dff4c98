"""The ground for cases about logging in and out, which only root can do for others."""

from __future__ import annotations

import pytest

from tests.support import until

from .conftest import OpenSession, output_of, user_manager_runs

pytestmark = pytest.mark.as_root


def test_bob_does_not_linger(login: OpenSession) -> None:
    """Bob's user manager comes with his login, and logind says that he does not linger."""
    assert not user_manager_runs("bob")
    with login("bob") as session:
        assert session.run("id -un").strip() == "bob"
        assert output_of("loginctl", "show-user", "-P", "Linger", "bob") == "no"
        assert session.run("systemctl --user is-system-running --wait").strip() == "running"
    until(lambda: not user_manager_runs("bob"), "bob's user manager is gone")


def test_a_login_is_a_session(login: OpenSession) -> None:
    """Logind knows the login by the id that the shell has, with its terminal, and forgets it at logout."""
    with login("bob") as session:
        tty = session.run("tty").strip()
        assert output_of("loginctl", "show-session", "-P", "Name", session.session) == "bob"
        assert f"/dev/{output_of('loginctl', 'show-session', '-P', 'TTY', session.session)}" == tty
        assert f"session-{session.session}.scope" in session.run("cat /proc/self/cgroup")
    until(lambda: session.session not in output_of("loginctl", "list-sessions", "--no-legend"), "logged out")
    until(lambda: not user_manager_runs("bob"), "bob's user manager is gone")


def test_user_manager_goes_with_the_last_login(login: OpenSession) -> None:
    """Of two logins, the first logout leaves bob's user manager alone and the second, a hang-up, takes it."""
    with login("bob") as one, login("bob") as two:
        assert one.session != two.session
        one.log_out()
        assert two.run("systemctl --user is-system-running --wait").strip() == "running"
        two.hang_up()
    until(lambda: not user_manager_runs("bob"), "bob's user manager is gone")


def test_alice_stays() -> None:
    """Alice lingers: she has a user manager without a login."""
    assert user_manager_runs("alice")
    assert output_of("loginctl", "show-user", "-P", "State", "alice") == "lingering"
