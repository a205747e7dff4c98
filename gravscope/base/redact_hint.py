"""Whether a text is worth a look for secrets at all: most are not, and `gravscope.base.redact` need not be loaded."""

from __future__ import annotations

# without one of these nothing is hidden: most texts need no closer look, and a list may have thousands of them
_SIGNS = (
    "pass", "secret", "token", "credential", "cookie", "hook", "bearer", "auth", "sig", "key", "conn", "dsn", "jwt",
    "pwd", "sas", "code=", "://", "telegram", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox",
    "hf_", "sk-", "npm_", "pypi-", "aiza", "eyj", "-----begin",
)  # fmt: skip


def may_hold_secret(text: str) -> bool:
    """True if something in `text` might be a secret."""
    folded = text.casefold()
    return any(sign in folded for sign in _SIGNS)
