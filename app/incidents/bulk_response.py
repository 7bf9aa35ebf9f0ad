"""Present the result of a bulk change in the caller's language."""

from dataclasses import replace
from typing import Any

from app.core.errors import Invalid
from app.incidents.bulk_patch import BulkPatch, PatchedIncident
from app.web.problem_details import fault_out


def content(patch: BulkPatch, *, language: str) -> dict[str, Any]:
    """Return the content of a BulkPatchOut."""
    incidents = [_incident(incident, language) for incident in patch.incidents]
    return {"dry_run": patch.dry_run, **patch.counts, "incidents": incidents}


def _incident(incident: PatchedIncident, language: str) -> dict[str, Any]:
    return {
        "id": incident.id,
        "result": incident.result,
        "before": incident.before,
        "after": incident.after,
        "errors": [fault_out(fault, language) for fault in incident.faults],
    }


def refusal(patch: BulkPatch, *, language: str) -> Invalid:
    """Return the problem for a change of which nothing was applied, with the content of a BulkPatchOut."""
    problem = Invalid(
        *(
            replace(fault, field=f"incidents.{incident.id}.{fault.field}")
            for incident in patch.incidents
            for fault in incident.faults
        )
    )
    problem.extra = content(patch, language=language)
    return problem
