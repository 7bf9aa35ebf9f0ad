"""An uploaded file, kept on disk: of a body of 20 MB no more than a piece is in memory."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import NamedTemporaryFile

PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class Upload:
    name: str  # as the caller named it; "" without one
    path: Path
    digest: str  # SHA-256, in hex


@asynccontextmanager
async def store(name: str, pieces: AsyncIterator[bytes]) -> AsyncIterator[Upload]:
    """Hold the pieces in a file of their own, removed at the end."""
    digest = hashlib.sha256()
    with NamedTemporaryFile(prefix="sinyal-import-") as file:
        async for piece in pieces:
            digest.update(piece)
            await asyncio.to_thread(file.write, piece)
        file.flush()
        yield Upload(name, Path(file.name), digest.hexdigest())
