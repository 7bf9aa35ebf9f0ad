"""A process that typesets one document and ends: reads an order as JSON, writes the PDF. It imports nothing of ours.

An order: `template` (a path), `values`, `files` (by name: content, media type, description) and `made_at` (ISO 8601).
Values and files reach the template as data alone: nothing in them is ever read as markup.
"""

import json
import os
import resource
import sys
from datetime import datetime
from pathlib import Path

import typst

MEMORY_BYTES = 2 * 2**30
CPU_S = 30
MAX_PDF_BYTES = 32 * 2**20


def main() -> None:
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S, CPU_S))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES, MEMORY_BYTES))
    os.nice(5)  # whoever polls the status comes first
    order = json.load(sys.stdin.buffer)
    template = Path(order["template"])
    pdf = typst.compile(
        template,
        root=template.parent,
        font_paths=typst.Fonts(include_system_fonts=False),  # the same everywhere
        sys_inputs={name: json.dumps(order[name]) for name in ("values", "files")},
        pdf_standards=["a-3a", "ua-1"],
        timestamp=datetime.fromisoformat(order["made_at"]),
    )
    if not isinstance(pdf, bytes) or len(pdf) > MAX_PDF_BYTES:
        sys.exit("The document is too large")
    sys.stdout.buffer.write(pdf)


if __name__ == "__main__":
    main()
