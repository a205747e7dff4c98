"""A fast first check for secrets. Most texts pass it, and then `gravscope.base.redact` need not be loaded."""

from __future__ import annotations

# a text without any of these contains nothing that is redacted; a list of jobs may have thousands of texts
_SIGNS = (
    "pass", "secret", "token", "credential", "cookie", "hook", "bearer", "auth", "sig", "key", "conn", "dsn", "jwt",
    "pwd", "sas", "code=", "://", "telegram", "gho_", "ghp_", "ghr_", "ghs_", "ghu_", "github_pat_", "glpat-", "xox",
    "hf_", "sk-", "npm_", "pypi-", "aiza", "eyj", "-----begin",
)  # fmt: skip


def may_hold_secret(text: str) -> bool:
    """True if `text` might contain a secret, so that `redact` has to check it."""
    folded = text.casefold()
    return any(sign in folded for sign in _SIGNS)
