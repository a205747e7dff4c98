"""Makes docs/record.schema.json of the record's type: python scripts/build_schema.py"""

from __future__ import annotations

import json
from pathlib import Path

from gravscope.records.model import record_schema

SCHEMA = Path(__file__).resolve().parents[1] / "docs" / "record.schema.json"

if __name__ == "__main__":
    SCHEMA.write_text(json.dumps(record_schema(), indent=2) + "\n", encoding="utf-8")
