"""`gravscope run` for those who want the record as a `JobRecord`. (Launching: `gravscope.actions.launch.launch`.)"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from gravscope.actions.launch.launch import Front, launch
from gravscope.records.model import JobRecord
from gravscope.records.spec import JobSpec
from gravscope.settings.project import Project


def run(spec: JobSpec, project: Project, environ: Mapping[str, str], front: Front | None = None) -> JobRecord:
    """As `gravscope.actions.launch.launch.launch`."""
    return msgspec.convert(launch(spec, project, environ, front), JobRecord)
