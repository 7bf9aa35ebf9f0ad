"""Whether a serving process is about to end: not ready any more, it answers what still comes, and ends connections."""

from dataclasses import dataclass


@dataclass
class Drain:
    is_draining: bool = False
