"""Which variables hold secrets, by their names: their values are never shown, though the private record has them."""

from __future__ import annotations

import re
from collections.abc import Mapping

HIDDEN = "(hidden)"
_SECRET = re.compile(
    r"TOKEN|SECRET|PASSW(OR)?D|PASSPHRASE|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|CREDENTIAL|COOKIE|_AUTH$|WEBHOOK|_DSN$",
    re.IGNORECASE,
)


def hide_secrets(environment: Mapping[str, str]) -> dict[str, str]:
    """`environment` with the values of secret-looking names replaced."""
    return {name: HIDDEN if _SECRET.search(name) else value for name, value in environment.items()}
