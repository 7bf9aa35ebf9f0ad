"""`sinyal prober` says what is wrong with its options before it does anything."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from app.cli.main import app

NAMES = ("SERVER", "TOKEN", "TOKEN_FILE", "DATA", "CANARIES", "SPOOL_MB")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--server", "sinyal.example", "--token", "sp-x"], "--server is the address of the API"),
        (["--server", "https://sinyal.example/?a=b", "--token", "sp-x"], "--server is the address of the API"),
        (["--server", "https://sinyal.example"], "token is missing"),
        (["--server", "https://sinyal.example", "--token", "sp x"], "token is missing, or is none"),
        (["--server", "https://sinyal.example", "--token", "sp-x", "--canary", "n_o"], "'n_o' is neither an address"),
        (["--server", "https://sinyal.example", "--token", "sp-x", "--canary", "1.2.3"], "neither an address"),
    ],
)
def test_wrong_options_are_named(
    options: list[str], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in NAMES:
        monkeypatch.delenv(f"SINYAL_PROBER_{name}", raising=False)
    result = CliRunner().invoke(app, ["prober", "--data", str(tmp_path), *options])
    assert (result.exit_code, list(tmp_path.iterdir())) == (2, [])
    assert said in result.output


def test_a_token_file_that_is_missing_is_named(tmp_path: Path) -> None:
    argv = ["prober", "--server", "https://sinyal.example", "--token-file", str(tmp_path / "none")]
    result = CliRunner().invoke(app, argv)
    assert isinstance(result.exception, FileNotFoundError), "which main() says in a line"
