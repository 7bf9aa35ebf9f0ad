"""Tests mirror `app/`, a room a folder; what several rooms need stands in `factories` and `support/`."""

import os

import pytest

os.environ["OPENPYXL_LXML"] = "False"  # as in production, which has no lxml: workbooks are written otherwise with it
pytest.register_assert_rewrite("tests.factories", "tests.support")
