"""Tests mirror `app/`, a room a folder; what several rooms need stands in `factories` and `support/`."""

import pytest

pytest.register_assert_rewrite("tests.factories", "tests.support")
