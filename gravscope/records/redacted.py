"""A record as it may be shown to people who may not read its file."""

from __future__ import annotations

import msgspec

from gravscope.base.redact import redact_command, redact_environment, redact_text
from gravscope.records.model import JobRecord


def redacted(record: JobRecord) -> JobRecord:
    """A copy in which everything that looks like a secret is `***`."""
    return msgspec.structs.replace(
        record,
        cmd=redact_command(record.cmd, shell=record.shell),
        env=redact_environment(record.env),
        reason=record.reason and redact_text(record.reason),
        fallback_reason=record.fallback_reason and redact_text(record.fallback_reason),
        warnings=[redact_text(warning) for warning in record.warnings],
    )
