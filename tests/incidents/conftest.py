from tests.support.incident_scenario import scenario

__all__ = ["scenario"]
