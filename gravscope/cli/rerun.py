"""`gravscope rerun`."""

from __future__ import annotations

from gravscope.actions.launch.rerun import spec_of_rerun
from gravscope.actions.launch.spec import Changes
from gravscope.cli.afterwards import Afterwards
from gravscope.cli.option_groups import takes
from gravscope.cli.run import carry_out
from gravscope.records.store import Store
from gravscope.settings.project import here

TYPE_CHECKING = False
if TYPE_CHECKING:  # for the annotations, which stay text until Typer wants them (`gravscope.cli.app`)
    from gravscope.cli.options import Job


@takes(defaults=False, changes=Changes, after=Afterwards)
def rerun(job: Job, changes: Changes, after: Afterwards) -> int:
    """Start an ended job once more, with changes. Command, directory, variables and limits are else the same."""
    after.go_with(changes)
    project = here()
    store = Store(project.jobs_dir)
    return carry_out(spec_of_rerun(store, store.find(job), changes, project), project, after)
