"""What a page says after a form was sent and done, by the name that the address carries."""

NOTICES = {
    "saved": "Saved",
    "window_planned": "Maintenance is planned",
    "window_cancelled": "Maintenance is cancelled",
    "incidents_changed": "The ticked incidents are changed",
    "password_changed": "Your password is changed; all your other sessions have ended",
    "view_saved": "The view is saved",
    "view_deleted": "The view is deleted",
    "signed_out": "You are signed out",
    "nothing_changed": "Nothing was changed: the form shows what is stored",
    "now_active": "It is in service and measured from now on",
    "now_suspended": "It is suspended: not measured, not counted",
    "now_retired": "It is retired; its history stays, and its form can put it into service again",
    "account_disabled": "The account is disabled; its sessions have ended and its tokens no longer work",
    "account_enabled": "The account is enabled again",
    "sessions_ended": "All its sessions have ended",
    "token_revoked": "The token is revoked",
}
