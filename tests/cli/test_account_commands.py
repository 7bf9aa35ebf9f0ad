"""`sinyal account`, `token` and `agent`, each in a process; and the first account of a new service."""

import os
import shlex
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import httpx
import pytest
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from app.access import api_tokens, passwords
from app.access.models import Account, Audit, Token
from app.postgres.engine import open_engine, open_sessions
from app.registry import providers
from app.registry import store as registry
from app.registry.schemas import SiteIn
from app.runtime.admin_session import command_line_caller
from app.settings import ROOT
from probes.policy import AddressPolicy
from tests.access.browser import PASSWORD
from tests.conftest import drop_database, make_database
from tests.factories import site
from tests.support.demo_process import arguments_of, free_port, processes_below, wait_for
from tests.support.forked_commands import ForkedCommands

pytestmark = pytest.mark.real_time


class Sinyal:
    def __init__(self, url: str, session: AsyncSession, commands: ForkedCommands) -> None:
        self.session, self._commands = session, commands
        self.environment = os.environ | {"SINYAL_DATABASE_URL": url}

    def run(self, *words: str, stdin: str = "") -> tuple[int, str, str]:
        """Return exit code, standard output and standard error."""
        process = self._commands.run(*words, environment=self.environment, stdin=stdin)
        return process.returncode, process.stdout, process.stderr

    def account(self, username: str, role: str, *more: str, stdin: str = "") -> tuple[int, str, str]:
        words = ("--username", username, "--name", username.title(), "--role", role, *more)
        return self.run("account", "create", *words, stdin=stdin)


@pytest.fixture
async def sinyal(server_url: str, migrated_template: str, forked_commands: ForkedCommands) -> AsyncIterator[Sinyal]:
    url = await make_database(server_url, migrated_template)
    engine = open_engine(url, name="test")
    async with open_sessions(engine)() as session:
        yield Sinyal(url, session, forked_commands)
    await engine.dispose()
    await drop_database(url, server_url)


async def test_an_agent_script_is_printed_alone_and_its_token_revoked(sinyal: Sinyal) -> None:
    async with sinyal.session.begin():
        await providers.ensure_providers(sinyal.session, {"telkom-wms": "Telkom WMS"})
        fields = SiteIn.model_validate(site(probe="push", host=None))
        created, _ = await registry.create_site(
            sinyal.session, fields, caller=command_line_caller(), policy=AddressPolicy([], [])
        )
        site_code = created.code
    code, script, errors = sinyal.run("agent", site_code, "--kind", "linux")
    assert (code, errors) == (0, ""), errors
    assert script.startswith("#!/bin/sh\n")
    assert script.endswith("\ninstall\n")
    assert sinyal.run("agent", site_code, "--revoke")[::2] == (0, "1 token revoked\n")
    assert sinyal.run("agent", site_code, "--revoke")[::2] == (0, "0 tokens revoked\n")
    code, out, errors = sinyal.run("agent", "64.99.01.2001-01")
    assert (code, out, errors) == (2, "", "sinyal: There is no site 64.99.01.2001-01 within your scope\n")
    assert sinyal.run("agent", site_code, "--kind", "amiga")[2].startswith("sinyal: --kind is one of routeros")


async def test_accounts_are_created_listed_reset_and_disabled(sinyal: Sinyal) -> None:
    code, password, errors = sinyal.account("Ana", "district_operator", "--region", "64.02")
    assert (code, len(password.strip())) == (0, 19), errors
    assert errors.endswith("account ana created\n")
    assert password.strip() not in errors
    code, out, _ = sinyal.account("sari", "province_admin", "--password-stdin", stdin=PASSWORD + "\n")
    assert (code, out) == (0, "")
    code, renewed, _ = sinyal.run("account", "reset-password", "ana")
    assert (code, len(renewed.strip())) == (0, 19)
    assert sinyal.run("account", "disable", "ana")[0] == 0
    listed = sinyal.run("account", "list")[1].splitlines()
    assert ["disabled" in line for line in listed] == [True, False]
    assert listed[0].startswith("ana ")
    async with sinyal.session.begin():
        ana, sari = (await sinyal.session.scalars(select(Account).order_by(Account.id))).all()
        assert (ana.must_change_password, sari.must_change_password) == (True, False)
        assert (await passwords.verify(renewed.strip(), ana.password_hash))[0]
        assert (await passwords.verify(PASSWORD, sari.password_hash))[0]
        audited = (await sinyal.session.scalars(select(Audit).order_by(Audit.id))).all()
    assert [entry.action for entry in audited] == ["create", "create", "reset_password", "disable"]
    assert {entry.source.value for entry in audited} == {"cli"}
    assert all(entry.actor.startswith("command line (") for entry in audited)


async def test_tokens_are_created_listed_and_revoked(sinyal: Sinyal) -> None:
    sinyal.account("ana", "district_operator", "--region", "64.02")
    code, secret, errors = sinyal.run("token", "create", "--name", "Excel", "--role", "viewer", "--account", "ana")
    assert (code, errors) == (0, "")
    assert secret.count("\n") == 1
    code, other, _ = sinyal.run("token", "create", "--name", "Province", "--role", "viewer", "--days", "30")
    assert code == 0
    listed = sinyal.run("token", "list")[1]
    assert secret.strip() not in listed
    assert ("Excel" in listed, "Province" in listed) == (True, True)
    async with sinyal.session.begin():
        kept, unowned = (await sinyal.session.scalars(select(Token).order_by(Token.id))).all()
    assert (kept.region_code, kept.expires_at, kept.digest) == ("64.02", None, api_tokens.digest(secret.strip()))
    assert (unowned.region_code, unowned.account_id, unowned.digest) == ("64", None, api_tokens.digest(other.strip()))
    assert unowned.expires_at is not None
    assert [sinyal.run("token", "revoke", str(kept.id))[0] for _ in range(2)] == [0, 0]
    async with sinyal.session.begin():
        await sinyal.session.refresh(kept)
        assert kept.revoked_at is not None
        actions = (await sinyal.session.scalars(select(Audit.action).where(Audit.object == "token"))).all()
    assert sorted(actions) == ["create", "create", "revoke"]


ERRORS = {
    "account create --username 'a b' --name A --role viewer": "--username: a b: 3 to 40 lower-case",
    "account create --username ana --name ' ' --role viewer": "--name: At least 1",
    "account create --username ana --name A --role vewer": "Did you mean viewer?",
    "account create --username ana --name A --role district_admin": "--region: Role district_admin needs a district",
    "account create --username ana --name A --role viewer --region 6402": "Did you mean 64.02?",
    "account create --username ana --name A --role provider_viewer": "--provider: Role provider_viewer needs",
    "account create --username ana --name A --role viewer --password-stdin": "the password: A password has 12",
    "account disable nobody": "there is no account nobody",
    "account reset-password nobody": "there is no account nobody",
    "token create --name x --role viewer --account nobody": "there is no account nobody",
    "token create --name x --role province_admin --region 64.02": "--region: Role province_admin needs the whole",
    "token revoke 99": "There is no token 99",
}


async def test_an_error_is_one_line_and_writes_nothing(sinyal: Sinyal) -> None:
    for line, expected in ERRORS.items():
        code, out, problem = sinyal.run(*shlex.split(line), stdin="short\n")
        assert (code, out, problem.count("\n")) == (2, "", 1), problem
        assert problem.startswith("sinyal: ")
        assert expected in problem
    async with sinyal.session.begin():
        for model in (Account, Token, Audit):
            assert (await sinyal.session.scalars(select(model))).all() == []


async def test_the_last_admin_cannot_be_disabled(sinyal: Sinyal) -> None:
    sinyal.account("sari", "province_admin")
    code, _, problem = sinyal.run("account", "disable", "sari")
    assert (code, "last admin" in problem) == (2, True)


def test_an_unreachable_database_is_reported(tmp_path: Path) -> None:
    process = subprocess.run(
        [sys.executable, "-m", "app.cli", "account", "list"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"SINYAL_DATABASE_URL": f"postgresql://x@/x?host={tmp_path}"},
    )
    assert (process.returncode, process.stderr.count("\n")) == (2, 1)
    assert "the database does not answer" in process.stderr


def test_a_new_service_prints_its_first_password_once(tmp_path: Path) -> None:
    port = free_port()
    ours = {name: value for name, value in os.environ.items() if name != "SINYAL_DATABASE_URL"}
    environment = ours | {"SINYAL_DATA_DIR": str(tmp_path / "var"), "SINYAL_PORT": str(port)}
    environment["SINYAL_TRUSTED_PROXIES"] = "127.0.0.1"

    def guess(body: dict[str, str], address: str) -> int:
        url, header = f"http://127.0.0.1:{port}/api/v1/session", {"X-Forwarded-For": f"10.9.9.9, {address}"}
        return httpx.post(url, json=body, headers=header, trust_env=False).status_code

    @contextmanager
    def up() -> Iterator[tuple[subprocess.Popen[str], IO[str]]]:
        """Yield the process and its standard output."""
        argv = [sys.executable, "-m", "app.cli", "up"]
        with (
            (tmp_path / "log").open("a") as log,
            subprocess.Popen(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=log, text=True) as process,
        ):
            assert process.stdout is not None
            try:
                yield process, process.stdout
            finally:
                process.terminate()

    def start() -> list[str]:
        """Start the service, sign in with each printed password once it is ready, stop it; return its first lines."""
        with up() as (_, out):
            lines: list[str] = []
            while (line := out.readline()) and not line.startswith("ready: "):
                lines.append(line)
            for password in passwords_in(lines):
                body = {"username": "admin", "password": password}
                answer = httpx.post(f"http://127.0.0.1:{port}/api/v1/session", json=body, trust_env=False)
                assert answer.status_code == 200, answer.text
                assert answer.json()["account"]["must_change_password"]
                wrong = {"username": "admin", "password": "wrong"}
                guesses = [guess(wrong, "203.0.113.5") for _ in range(12)]  # the waits double from 1 s
                assert guesses[:5] == [401] * 5
                assert 429 in guesses
                assert guess(wrong, "203.0.113.6") == 401, "who is asking is what the trusted proxy says"
        return lines

    def start_again() -> list[str]:
        """Start the service, stop it as soon as its worker begins, which is after accounts; return all lines."""
        with up() as (process, out):
            wait_for(lambda: any("worker" in arguments_of(child) for child in processes_below(process.pid)), 60)
            process.terminate()
            return out.readlines()

    def passwords_in(lines: list[str]) -> list[str]:
        return [line.split()[4] for line in lines if line.startswith("first account: admin, password ")]

    first = passwords_in(start())
    assert len(first) == 1
    assert passwords_in(start_again()) == []
    assert first[0] not in (tmp_path / "log").read_text()


async def test_a_prober_is_created_listed_and_revoked(sinyal: Sinyal) -> None:
    code, _, error = sinyal.run("probers", "create", "--name", "samarinda-1", "--vantage", "telkom")
    assert (code, "There is no vantage telkom" in error) == (2, True), error
    assert sinyal.run("probers", "name-vantage", "1", "telkom", "--label", "Jaringan Telkom")[0] == 0
    code, token, error = sinyal.run("probers", "create", "--name", "samarinda-1", "--vantage", "telkom")
    assert (code, token.startswith("sp-"), len(token.split())) == (0, True, 1), error
    (listed,) = sinyal.run("probers", "list")[1].splitlines()
    assert listed.split() == ["1", "telkom", "silent", "heard", "never", "samarinda-1"]
    assert sinyal.run("probers", "revoke", "1") == (0, "", "prober 1 revoked\n")
    assert sinyal.run("probers", "list")[1].split()[2] == "revoked"
