"""`gravscope _complete KIND PREFIX`: what a shell asks at every TAB for the names and ids of jobs.

It is answered from the names of the files in the folder of records alone, and loads neither Typer nor msgspec: a person
waits for it (see `gravscope.cli.completion` for everything else that is completed, which asks nobody).
"""

from __future__ import annotations

import os
import re

from gravscope.base.errors import GravscopeError
from gravscope.base.names import normal
from gravscope.records.ids import is_id, name_of, sort_key
from gravscope.settings.project import here

# jobs that have ended are offered by their ids too, the last ones, and all of a name that has been typed already
RECENT = 20
# what needs no quotes in any shell; whatever else is in the folder is no job of ours
_PLAIN = re.compile(r"[A-Za-z0-9_.-]+", re.ASCII)


def complete(kind: str, prefix: str) -> list[str]:
    """Lines of a word, a tab, and what it is: names of jobs (`names`, `ended-names`), or their names and ids (`jobs`,
    `live`, `ended`), those of live jobs first, newest first. Empty for whatever goes wrong: nothing is to be said at a
    prompt."""
    try:
        files = os.listdir(here().jobs_dir)  # noqa: PTH208 (100,000 names)
    except (OSError, GravscopeError):
        return []
    locked = {name.removesuffix(".lock") for name in files if name.endswith(".lock")}
    records = (name.removesuffix(".json") for name in files if name.endswith(".json"))
    ids = sorted((each for each in records if _PLAIN.fullmatch(each) or is_id(each)), key=sort_key, reverse=True)
    prefix = normal(prefix)
    live, ended = [each for each in ids if each in locked], [each for each in ids if each not in locked]
    if kind in ("live", "ended"):
        # a name means its newest job, which may be another than these
        named = {name_of(job_id): job_id for job_id in reversed(ids)}
        live, ended = (live, []) if kind == "live" else ([], ended)
    elif kind == "ended-names":
        named, live = {}, []
    else:
        named = {}
    found: dict[str, str] = {}
    for number, job_id in enumerate([*live, *ended], start=-len(live)):
        name, what = name_of(job_id), "live" if number < 0 else "ended"
        if named.get(name, job_id) == job_id:
            found.setdefault(name, what)
        if not kind.endswith("names") and (number < RECENT or prefix.startswith(name)):
            found.setdefault(job_id, what)
    return [f"{word}\t{what}" for word, what in found.items() if word.startswith(prefix)]
