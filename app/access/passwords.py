"""Passwords: what a good one is, hashed by argon2. Never on the event loop, and no more than two at a time."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

from pwdlib import PasswordHash
from zxcvbn import zxcvbn

from app.core.errors import Fault

SHORTEST, LONGEST = 12, 256
WEIGHED = 72  # characters; that many decide whether it can be guessed, and weighing more takes long
GOOD = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses
AT_ONCE = 2  # each takes 64 MB for 0.1 s
LETTERS = "23456789abcdefghjkmnpqrstuvwxyz"  # none that is mistaken for another

# What guessers here try first and zxcvbn's lists do not know.
LOCAL = (
    "sinyal",
    "desa",
    "sinyaldesa",
    "kaltim",
    "kalimantan",
    "timur",
    "kalimantantimur",
    "diskominfo",
    "kominfo",
    "samarinda",
    "balikpapan",
    "bontang",
    "kutai",
    "kukar",
    "kutim",
    "kubar",
    "berau",
    "paser",
    "penajam",
    "mahakam",
    "nusantara",
    "indonesia",
    "borneo",
    "internet",
    "admin",
    "operator",
    "provinsi",
    "kabupaten",
    "kelurahan",
    "katasandi",
    "kata",
    "sandi",
    "dinas",
    "rahasia",
    "bismillah",
    "sayang",
    "merdeka",
    "selamat",
    "datang",
    "gratis",
    "pemprov",
)

T = TypeVar("T")


async def check(password: str, *, field: str, about: tuple[str, ...]) -> Fault | None:
    """Why it is no good password, or None; `about` is what everybody knows of its owner."""
    given = _normal(password)
    if not SHORTEST <= len(given) <= LONGEST:
        return Fault(
            field,
            "password_length",
            "A password has {shortest} to {longest} characters",
            "Take four or more words that nobody would put together",
            values={"shortest": SHORTEST, "longest": LONGEST},
        )
    if await _apart(lambda: _score(given, about)) < GOOD:
        return Fault(
            field,
            "password_weak",
            "This password is easily guessed",
            "Take four or more words that nobody would put together, without names and years",
        )
    return None


async def hashed(password: str) -> str:
    return await _apart(lambda: _hasher().hash(_normal(password)))


async def verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Whether it is the one, and a new hash where the kept one is of older parameters.

    Without a hash, because nobody has that name, it takes the same time.
    """
    given = _normal(password)[: LONGEST + 1]  # one that long is nobody's
    good, fresh = await _apart(lambda: _hasher().verify_and_update(given, password_hash or _nobodys()))
    return (good, fresh) if password_hash is not None else (False, None)


def generate() -> str:
    """Four groups of four: 79 random bits that can be read out on the telephone."""
    return "-".join("".join(secrets.choice(LETTERS) for _ in range(4)) for _ in range(4))


def _normal(password: str) -> str:
    """The same letters, whichever way a keyboard put them together."""
    return unicodedata.normalize("NFC", password)


def _score(password: str, about: tuple[str, ...]) -> int:
    words = [word for phrase in about for word in (phrase, *phrase.split()) if len(word) > 2]
    return int(zxcvbn(password[:WEIGHED], [*words, *LOCAL])["score"])


async def _apart(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads(), work)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(AT_ONCE, thread_name_prefix="password")


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _nobodys() -> str:
    return _hasher().hash(generate())
