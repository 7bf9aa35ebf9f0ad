import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.core.sealing import FILE, Sealer, Unsealable, make_key, read_keys
from app.settings import Settings, SettingsError

OLD, NEW = "o" * 32, "n" * 32


@given(text=st.text(), purpose=st.text(), other=st.text())
def test_what_is_sealed_is_opened_again_and_a_signature_holds_for_its_purpose_and_text_alone(
    text: str, purpose: str, other: str
) -> None:
    sealer = Sealer([NEW])
    assert sealer.unseal(sealer.seal(text)) == text
    signature = sealer.sign(purpose, text)
    assert sealer.verifies(purpose, text, signature)
    assert sealer.verifies(other, text, signature) == (other == purpose)
    assert sealer.verifies(purpose, other, signature) == (other == text)
    assert not sealer.verifies(purpose + text[:1], text[1:], signature) or not text
    assert not sealer.verifies(purpose, text, other)


def test_a_replaced_key_still_opens_and_verifies_as_long_as_it_is_named() -> None:
    sealed, signature = Sealer([OLD]).seal("secret"), Sealer([OLD]).sign("link", "7")
    both = Sealer([NEW, OLD])
    assert (both.unseal(sealed), both.verifies("link", "7", signature)) == ("secret", True)
    assert Sealer([NEW]).unseal(both.seal("secret")) == "secret"
    assert not Sealer([NEW]).verifies("link", "7", signature)
    for unknown in (sealed, b"", b"secret", sealed[:-4]):
        with pytest.raises(Unsealable):
            Sealer([NEW]).unseal(unknown)


def test_a_key_is_made_once_for_its_owner_alone_and_one_that_others_can_read_is_refused(tmp_path: Path) -> None:
    settings, path = Settings(data_dir=tmp_path / "new"), tmp_path / "new" / FILE
    assert read_keys(settings) == []
    keys = make_key(settings)
    assert (make_key(settings), os.stat(path).st_mode & 0o777, os.listdir(path.parent)) == (keys, 0o600, [FILE])
    assert read_keys(Settings(data_dir=tmp_path / "new", secret_key=[NEW])) == [NEW], "the setting wins"
    path.chmod(0o640)
    with pytest.raises(SettingsError, match="can be read by others"):
        read_keys(settings)
    path.chmod(0o600)
    path.write_text(keys[0][:20])
    with pytest.raises(SettingsError, match="is cut off"):
        read_keys(settings)


def test_a_short_key_is_refused_and_never_shown() -> None:
    with pytest.raises(ValueError, match="at least 32 characters"):
        Settings(secret_key=["short"])
