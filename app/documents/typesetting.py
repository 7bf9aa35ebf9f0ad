"""Typesets a document as PDF/A-3a and PDF/UA-1, with files inside, in a process that may die alone.

The same template, values and files give the same bytes: fonts come with typst, the date with the order.
"""

import asyncio
import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from app.documents.printable import printable_values

TEMPLATES = Path(__file__).parent / "templates"
COMPOSE = Path(__file__).with_name("compose.py")
WALL_S = 60  # a machine may be busy with other things; a document of 169 sites takes one
MAX_PROBLEM = 1_000  # characters of what went wrong
MAX_ORDER_BYTES = 32 * 2**20
ENVIRONMENT = {"RAYON_NUM_THREADS": "1", "LANG": "C.UTF-8", "PATH": os.defpath}


class TypesettingFailed(Exception):
    """The template is wrong, or the document takes more than a process may: a defect of ours."""


@dataclass(frozen=True, slots=True)
class AttachedFile:
    """A text file inside the PDF, byte for byte."""

    name: str
    content: bytes
    media_type: str
    description: str


async def typeset(
    template: str, values: Mapping[str, Any], files: Sequence[AttachedFile] = (), *, made_at: datetime
) -> bytes:
    """Return the PDF. `values`: what the template shows, as JSON holds it. Raises TypesettingFailed.

    Hold a slot of `FileSlots` meanwhile: it keeps a core busy.
    """
    return await _composed(await asyncio.to_thread(_order, template, values, files, made_at))


def _order(template: str, values: Mapping[str, Any], files: Sequence[AttachedFile], made_at: datetime) -> bytes:
    order = {
        "template": str(TEMPLATES / template),
        "values": printable_values(values),
        "files": {file.name: [file.content.decode(), file.media_type, file.description] for file in files},
        "made_at": made_at.replace(microsecond=0).isoformat(),
    }
    content = json.dumps(order).encode()
    if len(content) > MAX_ORDER_BYTES:
        raise TypesettingFailed("The document has more content than one may have")
    return content


async def _composed(order: bytes) -> bytes:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", str(COMPOSE)),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=ENVIRONMENT,
    )
    try:
        async with asyncio.timeout(WALL_S):
            pdf, problem = await process.communicate(order)
    except TimeoutError:
        raise TypesettingFailed(f"The document took more than {WALL_S} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        raise TypesettingFailed(problem.decode(errors="replace").strip()[-MAX_PROBLEM:])
    return pdf
