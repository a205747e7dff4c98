"""`gravscope run`."""

from __future__ import annotations

from gravscope.actions.launch.launch import launch
from gravscope.actions.launch.spec import Typed, make_spec
from gravscope.cli.afterwards import Afterwards, say_how_to_follow, tell
from gravscope.cli.option_groups import takes
from gravscope.settings.project import here
from gravscope.systemd.host import given_environment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from gravscope.records.spec import JobSpec
    from gravscope.settings.project import Project


@takes(typed=Typed, after=Afterwards)
def run(typed: Typed, after: Afterwards) -> int:
    """Start a job beside this terminal, and print its id. Returns once its command runs."""
    after.go_with(typed)
    project = here()
    return carry_out(make_spec(typed, project), project, after)


def carry_out(spec: JobSpec, project: Project, after: Afterwards) -> int:
    """Starts the job, does what is to follow, and returns the exit status."""
    environ = given_environment()
    if spec.foreground or after != Afterwards():
        from gravscope.cli.run_modes import carry_out as and_more  # noqa: PLC0415 (all that a mere launch is without)

        return and_more(spec, project, environ, after)
    facts = launch(spec, project, environ)
    tell(facts)
    say_how_to_follow(facts["id"])
    print(facts["id"])
    return 0
