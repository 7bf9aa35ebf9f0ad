"""What an audit entry changed, as a person reads it."""

from app.console.audit_diff import ChangedField, changed_fields


def test_only_what_differs_is_shown_in_words_of_the_language() -> None:
    entry = {
        "before": {"name": "Titik", "technology": "geo", "host_static": True, "notes": None, "sites": [1]},
        "after": {"name": "Titik", "technology": "leo", "host_static": False, "notes": "kunci", "sites": [1, 2]},
    }
    changes = changed_fields(entry, "id")
    assert [(change.before, change.after) for change in changes][:3] == [
        ("satelit GEO (VSAT)", "satelit orbit rendah"),
        ("ya", "tidak"),
        (None, "kunci"),
    ]
    assert changed_fields(entry, "en")[0].after == "satellite (LEO)"


def test_what_was_created_or_removed_is_shown_whole_and_moments_are_told_in_wita() -> None:
    made = {"before": None, "after": {"role": "viewer", "expires_at": "2026-11-24T06:05:00+00:00"}}
    assert changed_fields(made, "id") == [
        ChangedField("Peran", None, "pembaca"),
        ChangedField("Kedaluwarsa", None, "24 November 2026 14.05.00 WITA"),
    ]
    assert changed_fields({"before": made["after"], "after": None}, "en")[0] == ChangedField("Role", "viewer", None)


def test_a_value_of_great_length_is_cut() -> None:
    [change] = changed_fields({"before": None, "after": {"notes": "x" * 9000}}, "id")
    assert change.after is not None
    assert len(change.after) < 2_100


def test_no_field_of_an_incidents_entry_is_left_untranslated() -> None:
    for name in ("cause", "cause_confirmed_by", "acknowledged_by", "acknowledged_at", "note_id", "audience"):
        [change] = changed_fields({"before": None, "after": {name: "x"}}, "id")
        assert change.label != name.replace("_", " ").capitalize(), name
