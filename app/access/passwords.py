"""Passwords: strength check and argon2 hashing, in two threads beside the event loop."""

import asyncio
import secrets
import unicodedata
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from functools import cache
from typing import TypeVar

from pwdlib import PasswordHash
from zxcvbn import zxcvbn

from app.core.errors import Fault, TooManySignIns

MIN_LENGTH, MAX_LENGTH = 12, 256
MAX_RAW_LENGTH = 4 * MAX_LENGTH  # before normalising, which takes quadratic time in a run of combining marks
SCORED_LENGTH = 72  # characters: more do not change the score, and scoring them takes long
MIN_SCORE = 3  # of zxcvbn's 0 to 4: more than 10^8 guesses
THREADS = 2  # each hash takes 64 MB for 0.1 s
MAX_SIGN_INS = 60  # at once, from their first query on: the last of them waits for 3 s
ALPHABET = "23456789abcdefghjkmnpqrstuvwxyz"  # without characters that are mistaken for one another

# Local words that guessers try first and zxcvbn's lists lack.
LOCAL_WORDS = (
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


class SignInLimit:
    """Bounds how many sign-ins of a process are under way: anybody may try, and each keeps a thread busy."""

    def __init__(self) -> None:
        self._running = 0

    @contextmanager
    def counted(self) -> Iterator[None]:
        """Raises TooManySignIns, before anything is counted against an account."""
        if self._running >= MAX_SIGN_INS:
            raise TooManySignIns
        self._running += 1
        try:
            yield
        finally:
            self._running -= 1


sign_ins = SignInLimit()


async def check(password: str, *, field: str, personal_words: tuple[str, ...]) -> Fault | None:
    """Return why the password is too weak, or None; `personal_words` are its owner's username and name."""
    normalized = _normalized(password)  # what is cut off here is too long in any case
    if not MIN_LENGTH <= len(normalized) <= MAX_LENGTH:
        return Fault(
            field,
            "password_length",
            "A password has {shortest} to {longest} characters",
            "Combine four or more unrelated words",
            values={"shortest": MIN_LENGTH, "longest": MAX_LENGTH},
        )
    if await _in_thread(lambda: _score(normalized, personal_words)) < MIN_SCORE:
        return Fault(
            field,
            "password_weak",
            "This password is easily guessed",
            "Combine four or more unrelated words, without names and years",
        )
    return None


async def hashed(password: str) -> str:
    return await _in_thread(lambda: _hasher().hash(_normalized(password)))


async def verify(password: str, password_hash: str | None) -> tuple[bool, str | None]:
    """Return whether the password matches, and a new hash where the stored one has outdated parameters.

    Takes the same time without a hash, so that it does not tell whether the username exists.
    """
    normalized = _normalized(password)[: MAX_LENGTH + 1]  # no stored password is that long
    matches, new_hash = await _in_thread(
        lambda: _hasher().verify_and_update(normalized, password_hash or _dummy_hash())
    )
    return (matches, new_hash) if password_hash is not None else (False, None)


def generate() -> str:
    """Four groups of four characters: 79 random bits that can be read out on the telephone."""
    return "-".join("".join(secrets.choice(ALPHABET) for _ in range(4)) for _ in range(4))


def _normalized(password: str) -> str:
    """NFC, since keyboards compose the same letter differently; a text that is too long before it stays too long."""
    if len(password) > MAX_RAW_LENGTH:
        return password[: MAX_LENGTH + 1]
    return unicodedata.normalize("NFC", password)


def _score(password: str, personal_words: tuple[str, ...]) -> int:
    words = [word for phrase in personal_words for word in (phrase, *phrase.split()) if len(word) > 2]
    return int(zxcvbn(password[:SCORED_LENGTH], [*words, *LOCAL_WORDS])["score"])


async def _in_thread(work: Callable[[], T]) -> T:
    return await asyncio.get_running_loop().run_in_executor(_threads(), work)


@cache
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(THREADS, thread_name_prefix="password")


@cache
def _hasher() -> PasswordHash:
    return PasswordHash.recommended()


@cache
def _dummy_hash() -> str:
    return _hasher().hash(generate())
