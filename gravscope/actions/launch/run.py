"""`gravscope run` for those who want the record as a `JobRecord`; the launching itself: `gravscope.actions.launch`."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gravscope.actions.launch import Front, launch
from gravscope.model import JobRecord
from gravscope.project import Project
from gravscope.spec import JobSpec


def run(spec: JobSpec, project: Project, environ: Mapping[str, str], front: Front | None = None) -> JobRecord:
    """As `gravscope.actions.launch.launch`."""
    return msgspec.convert(launch(spec, project, environ, front), JobRecord)
