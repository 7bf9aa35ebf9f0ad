"""`python -m tests.benchmarks.truth.checker FOLDER [SHOWN]`: check a kept run; ends with 1 if a check fails."""

import sys
from pathlib import Path

from tests.benchmarks.truth.checker.report import SHOWN_FAILURES, report

shown = int(sys.argv[2]) if len(sys.argv) > 2 else SHOWN_FAILURES
sys.exit(not report(Path(sys.argv[1]), shown=shown))
