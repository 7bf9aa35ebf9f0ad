"""What a page says after a form was sent and done, by the name that the address carries."""

NOTICES = {
    "saved": "Saved",
    "password_changed": "Your password is changed; all your other sessions have ended",
    "signed_out": "You are signed out",
}
