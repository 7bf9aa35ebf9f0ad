"""The worker's table of jobs."""

import inspect

import pytest

from app.worker.process import JOBS, Job


@pytest.mark.parametrize("job", JOBS, ids=lambda job: job.name)
def test_a_job_is_a_coroutine_function_or_nobody_would_await_it(job: Job) -> None:
    assert inspect.iscoroutinefunction(job.run)
