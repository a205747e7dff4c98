"""`gravscope run --notify`: who is notified when the job ends. `gravscope.notify.send` sends the notifications."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gravscope.base.errors import UsageError
from gravscope.records.spec import Notify
from gravscope.settings.layers import Found

# started by the supervisor when the job has ended
PROGRAM = Path(__file__).parent / "__main__.py"
# seconds in which all notifications have to be sent
PATIENCE = 10.0
SETTINGS = tuple(f"notify.{name}" for name in Notify().as_dict())


def recipients(found: Mapping[str, Found]) -> Notify:
    """The recipients in the settings; the desktop if nothing is set. Raises UsageError if all are turned off."""
    values: dict[str, Any] = {key.partition(".")[2]: found[key].value for key in SETTINGS if key in found}
    asked = Notify(**values) if values else Notify(desktop=True)
    if not (asked.desktop or asked.webhook or asked.command):
        raise UsageError(
            "--notify: the desktop is not to be told, and nobody else is set",
            "set notify.webhook or notify.command; gravscope config shows what is set",
        )
    return asked


def supervisor_request(asked: Notify) -> dict[str, object]:
    """The part of the supervisor's request that is about notification."""
    return {"program": str(PROGRAM), "patience": PATIENCE, "whom": asked.as_dict()}
