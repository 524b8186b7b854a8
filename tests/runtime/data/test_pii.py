"""Personal data: hashed, tokenised or dropped before anything is stored; a token gives the value back to the key's holder alone."""

from __future__ import annotations

import pandas as pd
import pytest
from ai_factory_runtime.base.errors import PiiKeyMissing
from ai_factory_runtime.data.data_refusals import TokenUnreadable
from ai_factory_runtime.data.pii import protect, read_key
from ai_factory_runtime.data.tokens import Tokens
from ai_factory_spec.usecase import Pii
from hypothesis import given
from hypothesis import strategies as st

RULES = (Pii(column="mail", kind="email", action="hash"), Pii(column="name", kind="name", action="drop"))
KEY = b"a key of sixteen characters"


def people() -> pd.DataFrame:
    return pd.DataFrame(
        {"mail": ["a@x.org", "b@x.org", "a@x.org", None], "name": ["Ann", "Bo", "Ann", "Cy"], "r": [1, 2, 3, 4]}
    )


def test_personal_data_is_dropped_or_hashed_with_the_key() -> None:
    protected = protect(people(), RULES, KEY)
    assert "name" not in protected
    assert protected["mail"].iloc[0] == protected["mail"].iloc[2] != protected["mail"].iloc[1]
    assert pd.isna(protected["mail"].iloc[3])
    assert "@" not in protected.to_csv()
    assert protected["mail"].iloc[0] != protect(people(), RULES, KEY + b"!")["mail"].iloc[0]


def test_an_id_that_must_be_dropped_still_keeps_its_rows_together() -> None:
    protected = protect(people(), RULES, KEY, keep_apart="name")
    assert protected["name"].tolist() == [0, 1, 0, 2]


@pytest.mark.parametrize("key", ["", "short"])
def test_hashing_without_a_long_key_is_refused(key: str) -> None:
    with pytest.raises(PiiKeyMissing, match="'mail'"):
        read_key(RULES, {"AI_FACTORY_PII_KEY": key})


def test_dropping_needs_no_key() -> None:
    assert read_key(RULES[1:], {}) == b""


TOKEN = Pii(column="mail", kind="email", action="tokenise")


def test_a_token_gives_its_value_back_with_the_key_and_only_with_it() -> None:
    token = protect(people(), [TOKEN], KEY)["mail"].iloc[0]
    assert "a@x.org" not in token
    assert Tokens(KEY).reveal(token, ["name", "mail"]) == ("mail", "a@x.org")
    with pytest.raises(TokenUnreadable) as refusal:
        Tokens(KEY + b"!").reveal(token, ["mail"])
    assert token not in str(refusal.value)


def test_equal_values_get_equal_tokens_in_a_column_and_others_in_another() -> None:
    protected = protect(people(), [TOKEN], KEY)["mail"]
    assert protected.iloc[0] == protected.iloc[2] != protected.iloc[1]
    assert pd.isna(protected.iloc[3])
    assert Tokens(KEY).hide("a@x.org", "other") != protected.iloc[0]


def test_a_token_of_another_column_is_refused() -> None:
    with pytest.raises(TokenUnreadable, match="'mail'"):
        Tokens(KEY).reveal(Tokens(KEY).hide("a@x.org", "other"), ["mail"])


@pytest.mark.parametrize(
    "change",
    [lambda t: t[:-2] + ("AA" if t[-2:] != "AA" else "BB"), lambda t: t[4:], lambda t: "tok_ü", lambda t: "tok_"],
)
def test_a_changed_token_is_refused(change: object) -> None:
    token = Tokens(KEY).hide("a@x.org", "mail")
    with pytest.raises(TokenUnreadable):
        Tokens(KEY).reveal(change(token), ["mail"])  # type: ignore[operator]


@given(st.text(min_size=1))
def test_every_text_survives_its_token(value: str) -> None:
    assert Tokens(KEY).reveal(Tokens(KEY).hide(value, "mail"), ["mail"]) == ("mail", value)


@pytest.mark.parametrize("action", ["hash", "tokenise"])
def test_a_number_is_hidden_alike_however_a_file_writes_it(action: str) -> None:
    rule = Pii(column="n", kind="national_id", action=action)  # type: ignore[arg-type]
    as_written = [protect(pd.DataFrame({"n": [v]}), [rule], KEY)["n"].iloc[0] for v in (7, 7.0, "7")]
    assert len(set(as_written)) == 1


def test_tokens_need_a_long_key() -> None:
    with pytest.raises(PiiKeyMissing, match="'mail'"):
        read_key([TOKEN], {"AI_FACTORY_PII_KEY": "short"})
