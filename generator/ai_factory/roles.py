"""What part each column seems to play, each guess with its reason: task, positive class, id, time, PII, sensitive.

A guess is `certain` where a wrong one is improbable or harmless; the command asks about the others.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Generic, Literal, TypeVar

from ai_factory_spec.metrics import Task

from ai_factory.measure import ISO_8601

if TYPE_CHECKING:
    from ai_factory.profile import ColumnProfile

PiiKind = Literal["email", "phone", "name", "address", "national_id", "ip_address", "other"]

MAX_CLASSES = 100  # texts
MAX_WHOLE_CLASSES = 10  # whole numbers; more of them are a quantity
ROWS_PER_CLASS = 5  # that whole numbers must repeat to be classes
_TELLING = 0.8  # the share of values that must look like PII

T = TypeVar("T")


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


@dataclass(frozen=True, slots=True)
class Guess(Generic[T]):
    """A value with its reason."""

    value: T
    why: str
    certain: bool


@dataclass(frozen=True, slots=True)
class PiiGuess:
    """A column that seems to identify a person."""

    column: str
    kind: PiiKind
    why: str
    certain: bool


@dataclass(frozen=True, slots=True)
class Roles:
    """The part each column seems to play. `ignored`: columns that name the row, which a model would learn by heart."""

    task: Guess[Task] | None
    positive: Guess[str] | None
    id: Guess[str] | None
    time: Guess[str] | None
    pii: tuple[PiiGuess, ...]
    sensitive: tuple[Guess[str], ...]
    ignored: tuple[Guess[str], ...]

    def role_of(self, name: str) -> str:
        """How a column is taken, in a word; empty for a feature or a text."""
        if self.id and self.id.value == name:
            return "the id"
        if self.time and self.time.value == name:
            return "the time"
        if any(p.column == name for p in self.pii):
            return "personal data"
        return "ignored" if any(g.value == name for g in self.ignored) else ""

    def features(self, columns: Iterable[ColumnProfile], target: str) -> tuple[ColumnProfile, ...]:
        """The columns a model may learn from."""
        usable = (c for c in columns if c.name != target and c.type not in ("text", "datetime"))
        return tuple(c for c in usable if not self.role_of(c.name))


def infer_roles(columns: Sequence[ColumnProfile], rows: int, target: str | None) -> Roles:
    """The guesses for a table. The target gets no other part."""
    by_name = {column.name: column for column in columns}
    others = [column for column in columns if column.name != target]
    goal = by_name.get(target) if target is not None else None
    task = infer_task(goal, rows) if goal is not None else None
    positive = infer_positive(goal) if goal is not None and task is not None and task.value == "binary" else None
    pii = tuple(guess for column in others if (guess := infer_pii(column, rows)))
    personal = {guess.column for guess in pii}
    free = [column for column in others if column.name not in personal]
    id_, ignored = infer_id(free, rows)
    time = infer_time([column for column in free if not id_ or column.name != id_.value])
    sensitive = tuple(_sensitive([c for c in free if c.type in ("category", "boolean")]))
    return Roles(task, positive, id_, time, pii, sensitive, ignored)


# Task ------------------------------------------------------------------------------------------------------------------


def infer_task(target: ColumnProfile, rows: int) -> Guess[Task]:
    """Texts, truth values and few whole numbers are classes; fractions and many whole numbers are a quantity."""
    count = len(target.values)
    if not target.numeric:
        task: Task = "binary" if count == 2 else "multiclass"
        return Guess(task, f"the target has {count} different values, and they are no numbers", certain=True)
    if not target.whole:
        return Guess("regression", "the target is a number with fractions", certain=True)
    if count == 2:
        shown = " and ".join(value for value, _ in target.values)
        return Guess("binary", f"the target has two values, {shown}", certain=True)
    if 2 < count <= MAX_WHOLE_CLASSES and count * ROWS_PER_CLASS <= rows:
        return Guess("multiclass", f"the target has only {count} different whole numbers", certain=False)
    return Guess("regression", f"the target has about {target.distinct:,} different whole numbers", certain=True)


_YES = _words("1 true t yes y positive pos on active malignant fraud default churned churn spam bad fail failed")
_NO = _words(
    "0 -1 false f no n negative neg off inactive benign legit legitimate normal ham good ok pass passed none stayed"
)


def infer_positive(target: ColumnProfile) -> Guess[str]:
    """The class of interest: the one that says yes where the other says no or is the same word negated, else the rarer one."""
    (first, _), (second, _) = target.values
    for yes, no in ((first, second), (second, first)):
        y, n = yes.strip().lower(), no.strip().lower()
        negated = re.fullmatch(rf"(no|not|non|un|in)[\s_-]?{re.escape(y)}", n) is not None
        if (y in _YES and n in _NO) or negated or (y == "1" and n == "0"):
            return Guess(yes, f"{yes!r} says yes and {no!r} says no", certain=True)
    rarer, rows = target.values[-1]
    return Guess(rarer, f"it is the rarer class ({rows:,} rows)", certain=False)


# Id and time -----------------------------------------------------------------------------------------------------------

_ID_WORDS = _words("id ids uuid guid key pk identifier nr")
_TIME_WORDS = _words(
    "date time datetime timestamp ts dt at on day month week year created updated occurred event period"
)
_BIRTH_WORDS = _words("birth birthday birthdate dob born geburtsdatum")
_REPEATING = 20  # different values from which a repeating id is one


def words(name: str) -> tuple[str, ...]:
    """The words of a column's name: `customerId`, `customer_id` and `Customer ID` are all customer, id."""
    split = re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", " ", name[:200])
    return tuple(word.lower() for word in re.findall(r"[^\W_]+", split))


def infer_id(columns: Sequence[ColumnProfile], rows: int) -> tuple[Guess[str] | None, tuple[Guess[str], ...]]:
    """The column that names the entity, and others that name the row.

    An id that repeats comes first: its rows must stay together in a split. Only texts and whole numbers can be ids.
    """
    able = [
        c
        for c in columns
        if (c.type in ("text", "category") and c.average_length <= 60 and not c.numeric) or c.type == "integer"
    ]
    repeating, unique = [], []
    for column in able:
        named = _ID_WORDS.intersection(words(column.name))
        if (
            named
            and not column.unique
            and column.distinct >= max(_REPEATING, rows / 100)
            and column.missing_share < 0.05
        ):
            repeating.append(
                Guess(
                    column.name,
                    f"its name says so, and {column.distinct:,} values repeat over {rows:,} rows",
                    certain=True,
                )
            )
        elif named and column.unique:
            unique.append(Guess(column.name, "its name says so, and every value is different", certain=True))
        elif column.unique and rows >= _REPEATING and (_counts_rows(column, rows) or _is_code(column)):
            unique.append(Guess(column.name, "every value is different, like a row number or a code", certain=False))
    candidates = repeating + unique
    if not candidates:
        return None, ()
    rest = tuple(Guess(g.value, f"another id: {g.why}", g.certain) for g in candidates[1:])
    return candidates[0], rest


def _counts_rows(column: ColumnProfile, rows: int) -> bool:
    low, high = column.minimum, column.maximum
    return low in (0, 1) and isinstance(low, float) and isinstance(high, float) and high - low == rows - 1


def _is_code(column: ColumnProfile) -> bool:
    return column.type == "text" and bool(column.examples) and not any(re.search(r"\s", v) for v in column.examples)


def infer_time(columns: Sequence[ColumnProfile]) -> Guess[str] | None:
    """The column that orders the rows: a date whose name is no birth date, one with a telling name first."""
    dates = [
        c for c in columns if c.type == "datetime" and c.missing == 0 and not _BIRTH_WORDS.intersection(words(c.name))
    ]
    if not dates:
        return None
    named = [c for c in dates if _TIME_WORDS.intersection(words(c.name))]
    best = (named or dates)[0]
    if len(dates) == 1:
        return Guess(best.name, "it is the only date in every row: the newest rows are held out", certain=bool(named))
    return Guess(best.name, f"it is the first of {len(dates)} dates: the newest rows are held out", certain=False)


# Persons ---------------------------------------------------------------------------------------------------------------

_SENSITIVE_WORDS = _words(
    "sex gender race ethnicity ethnic religion nationality citizenship disability disabled marital pregnant orientation"
)


def _sensitive(columns: Iterable[ColumnProfile]) -> Iterator[Guess[str]]:
    for column in columns:
        hit = _SENSITIVE_WORDS.intersection(words(column.name))
        if hit:
            yield Guess(column.name, f"its name says {min(hit)}", certain=False)


def infer_pii(column: ColumnProfile, rows: int) -> PiiGuess | None:
    """Whether a column identifies a person: by what its values look like, else by its name where the values do not speak against it."""
    for kind, looks in _VALUE_TESTS.items():
        share = _share(column.examples, looks)
        if share >= _TELLING:
            return PiiGuess(column.name, kind, f"{share:.0%} of its values look like it", certain=True)
    named = _kind_by_name(words(column.name))
    if named is None:
        return None
    kind, word = named
    if kind == "phone":
        fits = column.numeric and isinstance(column.minimum, float) and column.minimum >= 1_000_000
        fits |= _share(column.examples, lambda v: sum(c.isdigit() for c in v) >= 7) >= _TELLING
    elif kind == "national_id":
        fits = column.distinct > rows / 2 or column.type == "text"
    elif word in _BIRTH_WORDS:
        fits = column.type in ("datetime", "text")
    else:
        fits = column.type == "text" or (
            column.type == "category" and not column.numeric and column.distinct > rows / 5
        )
    return PiiGuess(column.name, kind, f"its name says {word}", certain=False) if fits else None


def looks_like_dates(sample: Sequence[str], *, iso: bool = True) -> bool:
    """Whether all values of a sample are dates in ISO 8601, or, otherwise, most are dates in some other form."""
    if iso:
        return bool(sample) and sum(bool(re.fullmatch(ISO_8601, v, re.ASCII)) for v in sample) >= 0.9 * len(sample)
    return _share(sample, lambda v: bool(_OTHER_DATE.match(v))) >= 0.9


_OTHER_DATE = re.compile(r"\s*(\d{1,2}[./-]\d{1,2}[./-]\d{2,4}|\d{4}[./]\d{1,2}[./]\d{1,2})\b", re.ASCII)


def _share(sample: Sequence[str], looks: Callable[[str], bool]) -> float:
    return sum(map(looks, sample)) / len(sample) if sample else 0.0


def _is_email(value: str) -> bool:
    return "@" in value and re.fullmatch(r"\s*[^@\s]{1,64}@[^@\s]+\.[^@\s.]{2,}\s*", value) is not None


def _is_ip(value: str) -> bool:
    if value.count(".") != 3 and value.count(":") < 2:
        return False
    try:
        ipaddress.ip_address(value.strip())
    except ValueError:
        return False
    return True


def _is_phone(value: str) -> bool:
    if (
        not re.fullmatch(r"\s*\+?[\d\s().\-/]{7,25}\s*", value, re.ASCII)
        or re.match(ISO_8601, value)
        or _OTHER_DATE.match(value)
    ):
        return False
    digits = sum(c.isdigit() for c in value)
    parts = re.findall(r"\d+", value)
    return 7 <= digits <= 15 and ("+" in value or "(" in value or (len(parts) >= 3 and max(map(len, parts)) <= 8))


def _is_national_id(value: str) -> bool:
    return re.fullmatch(r"\s*\d{3}-\d{2}-\d{4}\s*", value, re.ASCII) is not None


def _is_bank_account(value: str) -> bool:
    return re.fullmatch(r"[A-Z]{2}\d{2}[A-Z0-9]{11,30}", value.replace(" ", ""), re.ASCII) is not None


_VALUE_TESTS: Mapping[PiiKind, Callable[[str], bool]] = {
    "email": _is_email,
    "ip_address": _is_ip,
    "national_id": _is_national_id,
    "other": _is_bank_account,
    "phone": _is_phone,
}

# The first row that fits wins: `email address` is an e-mail, `ip address` no address.
_NAMES: tuple[tuple[PiiKind, frozenset[str]], ...] = (
    ("email", _words("email mail emailaddress")),
    ("ip_address", _words("ip ipaddress ipaddr")),
    ("phone", _words("phone mobile telephone tel fax telefon handy phonenumber")),
    ("national_id", _words("ssn passport nin nif dni cpf nino taxid")),
    ("other", frozenset({"iban", *_BIRTH_WORDS})),
    ("address", _words("address street addr adresse strasse")),
    ("name", _words("surname firstname lastname fullname forename vorname nachname username")),
)
_NAMES_OF_TWO_WORDS: Mapping[PiiKind, frozenset[tuple[str, str]]] = {
    "email": frozenset({("e", "mail")}),
    "national_id": frozenset(
        {("national", "id"), ("social", "security"), ("tax", "id"), ("id", "card"), ("driver", "license")}
    ),
    "other": frozenset({("credit", "card"), ("card", "number"), ("bank", "account")}),
    "name": frozenset(
        (first, "name")
        for first in _words("first last full given family middle customer client patient person employee user contact")
    ),
}


def _kind_by_name(name: tuple[str, ...]) -> tuple[PiiKind, str] | None:
    for kind, pairs in _NAMES_OF_TWO_WORDS.items():
        for pair in pairwise(name):
            if pair in pairs:
                return kind, " ".join(pair)
    for kind, hints in _NAMES:
        hit = hints.intersection(name)
        if hit:
            return kind, min(hit)
    return ("name", "name") if name == ("name",) else None
