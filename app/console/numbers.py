"""Numbers of forms, as people write them."""

import re


def read_number(text: str) -> float | str | None:
    """Return the number of a text with a decimal comma or point; the text itself where it is none: the API says so."""
    text = text.strip().replace(" ", "")
    if not text:
        return None
    if re.fullmatch(r"\d{1,3}(\.\d{3})+", text):  # 4.500.000
        text = text.replace(".", "")
    try:
        value = float(text.replace(",", "."))
    except ValueError:
        return text
    if not abs(value) < 2**53:  # also inf and nan
        return text
    return int(value) if value.is_integer() else value
