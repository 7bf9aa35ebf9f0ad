"""`sinyal probers …`: the probers that run by themselves, and the vantages that they probe for."""

from datetime import datetime
from typing import Annotated, Any

import typer

from app.cli.context import configured, run, say

probers_commands = typer.Typer(no_args_is_help=True, help="Manage probers that run by themselves, and vantages.")

ProberId = Annotated[int, typer.Argument(min=1, max=2**31 - 1, help="The prober's id, see `sinyal probers list`.")]


@probers_commands.command("create")
def create(
    name: Annotated[str, typer.Option(help="Name of its machine: lower-case letters, digits and hyphens.")],
    vantage: Annotated[str, typer.Option(help="Name of the vantage that it probes for.")] = "central",
) -> None:
    """Create a prober and print its token once: only its hash is stored. Needs the running database."""
    from app.runtime import prober_admin

    say(run(prober_admin.create_prober(configured("probers"), name=name, vantage=vantage)))


@probers_commands.command("list")
def list_all() -> None:
    """List all probers: vantage, state, when they were last heard, name."""
    from app.runtime import prober_admin

    for prober in run(prober_admin.list_probers(configured("probers"))):
        heard = f"heard {_second(prober['seen_at'])}"
        say(f"{prober['id']:>5} {prober['vantage_name']:<20} {_state(prober):<10} {heard:<28} {prober['name']}")


@probers_commands.command("revoke")
def revoke(id: ProberId) -> None:
    """Revoke a prober: its token ends at once, and others of its vantage look at its sites."""
    from app.runtime import prober_admin

    run(prober_admin.revoke_prober(configured("probers"), id))
    typer.echo(f"prober {id} revoked", err=True)


@probers_commands.command("name-vantage")
def name_vantage(
    number: Annotated[int, typer.Argument(min=0, max=8, help="0: where the worker runs; else 1 to 8.")],
    name: Annotated[str, typer.Argument(help="Its short name: lower-case letters, digits and hyphens.")],
    label: Annotated[str, typer.Option(help="Which network it is, for people.")],
) -> None:
    """Name a vantage, a new one or anew."""
    from app.runtime import prober_admin

    run(prober_admin.name_vantage(configured("probers"), number, name=name, label=label))
    typer.echo(f"vantage {number} is {name}", err=True)


def _state(prober: dict[str, Any]) -> str:
    if prober["revoked_at"] is not None:
        return "revoked"
    if not prober["live"]:
        return "silent"
    return "blind" if prober["blind_since"] is not None else "live"


def _second(moment: datetime | None) -> str:
    return "never" if moment is None else moment.astimezone().strftime("%Y-%m-%d %H:%M:%S")
