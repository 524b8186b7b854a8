"""What can go wrong while a repository is composed.

FactoryError                          ai_factory_spec.errors
└── GeneratorError
    ├── BlueprintError                a blueprint's manifest or folder is not valid
    ├── PlanError
    │   ├── NoBlueprint               a name that no blueprint has
    │   ├── Conflict                  a combination that cannot work
    │   └── Cycle                     blueprints that need each other in a circle
    ├── ComposeError
    │   ├── RenderError               a template that cannot be rendered
    │   ├── UnsafePath                a path that would leave the project, or that some system cannot hold
    │   ├── PathClaimedTwice          two blueprints write one file and no join is declared
    │   ├── JoinFailed                fragments of a shared file contradict each other
    │   └── InvalidOutput             a generated file that its own format's parser refuses
    ├── WriteError
    │   ├── DestinationExists         the target folder holds something
    │   ├── OutputExists              the file to write is there already
    │   └── CannotWrite               the disk refused
    ├── DataNotFound                  the data file that usecase.yaml names is not there
    ├── SpecNotFound                  no file of that name, or one that cannot be read
    ├── MissingAnswer                 something only a person can say, and nobody to ask
    ├── Declined                      the person said no
    └── DataError                     a data file that cannot be profiled: ai_factory.data_errors

Constructors take the facts by keyword and build the sentence. Only the leaves are raised, and only they have a slug.
"""

# ruff: noqa: N818 - the names say what happened; all are raised, none needs "Error" to be told from a value.

from __future__ import annotations

from collections.abc import Sequence

from ai_factory_spec.errors import EXIT_USAGE, FactoryError, Problem


class GeneratorError(FactoryError):
    """The root of what the generator refuses."""


class BlueprintError(GeneratorError):
    """One or more blueprints are not valid. `problems` holds (file, problem) for all of them."""

    slug = "blueprint-invalid"

    def __init__(self, *, problems: Sequence[tuple[str, Problem]]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        lines = [f"The blueprints have {count} problem{'s' if count != 1 else ''}:"]
        lines += [f"  {file}:{p.line}: {p}" if p.line else f"  {file}: {p}" for file, p in self.problems]
        super().__init__("\n".join(lines), hint="`ai-factory schema blueprint` prints every field of a manifest.")


class PlanError(GeneratorError):
    """The use case asks for something the blueprints cannot give."""


class NoBlueprint(PlanError):
    """A name that no blueprint of that kind has."""

    slug = "no-blueprint"

    def __init__(self, *, wanted: str, asked_by: str, allowed: Sequence[str], suggestion: str) -> None:
        self.wanted = wanted
        choices = f"there are {', '.join(allowed)}" if allowed else "there is none of that kind"
        super().__init__(
            f"There is no blueprint {wanted!r}, which {asked_by} asks for{suggestion}; {choices}.",
            hint="`ai-factory blueprints list` shows them all.",
        )


class Conflict(PlanError):
    """A combination of blueprints that cannot work; `reasons` holds one sentence for each clash."""

    slug = "conflict"

    def __init__(self, *, reasons: Sequence[str], nearest: str) -> None:
        self.reasons = tuple(reasons)
        self.nearest = nearest
        lines = ["These blueprints do not work together:", *(f"  {reason}" for reason in reasons)]
        lines.append(
            f"The nearest combination that works: {nearest}." if nearest else "No combination near this one works."
        )
        super().__init__(
            "\n".join(lines),
            hint="Change usecase.yaml that way, then `ai-factory plan usecase.yaml --explain`.",
        )


class Cycle(PlanError):
    """Blueprints that need each other in a circle, so that none can come first."""

    slug = "blueprint-cycle"

    def __init__(self, *, circle: Sequence[str]) -> None:
        self.circle = tuple(circle)
        super().__init__(
            f"These blueprints need each other in a circle: {' needs '.join((*circle, circle[0]))}.",
            hint="Take one `requires` out of their blueprint.yaml; `ai-factory blueprints show NAME` prints them.",
        )


class ComposeError(GeneratorError):
    """The blueprints cannot be turned into one tree of files. Nothing was written."""


class RenderError(ComposeError):
    """A template that cannot be rendered; names the blueprint, the file, the line and an undefined variable."""

    slug = "render-failed"

    def __init__(self, *, blueprint: str, file: str, line: int | None, reason: str, variable: str = "") -> None:
        self.blueprint, self.file, self.line, self.variable = blueprint, file, line, variable
        where = f"{file}:{line}" if line else file
        super().__init__(
            f"Blueprint {blueprint} cannot be rendered: {where}: {reason}.",
            hint=f"`ai-factory blueprints show {blueprint}` lists the variables its templates may use.",
        )


class UnsafePath(ComposeError):
    """A path a repository must not hold: outside the project, or not portable between systems."""

    slug = "unsafe-path"

    def __init__(self, *, path: str, reason: str, owner: str = "") -> None:
        self.path, self.reason, self.owner = path, reason, owner
        by = f", from {owner}," if owner else ""
        super().__init__(
            f"The path {path!r}{by} is refused: {reason}.",
            hint="Paths are relative, stay inside the project and are portable; see playbooks/write-a-blueprint.md.",
        )


class PathClaimedTwice(ComposeError):
    """Two blueprints write different bytes to one path, and do not both declare the same join for it."""

    slug = "path-claimed-twice"

    def __init__(self, *, path: str, owners: Sequence[str]) -> None:
        self.path, self.owners = path, tuple(owners)
        super().__init__(
            f"{path} is written by {' and by '.join(owners)}, with different content.",
            hint=f"Rename one, or declare in both: `joins: [{{path: {path}, how: sections}}]` (or toml, lines).",
        )


class JoinFailed(ComposeError):
    """Fragments of one shared file cannot be joined, because they say different things about one key."""

    slug = "join-failed"

    def __init__(self, *, path: str, owner: str, reason: str) -> None:
        self.path, self.owner = path, owner
        super().__init__(
            f"{path} cannot be joined: the fragment of {owner} {reason}.",
            hint="Let one blueprint own the key, and the other leave it out.",
        )


class InvalidOutput(ComposeError):
    """A generated file its own format's parser refuses: a template's mistake, caught before anything is written."""

    slug = "output-invalid"

    def __init__(self, *, path: str, owners: Sequence[str], reason: str) -> None:
        self.path, self.owners = path, tuple(owners)
        super().__init__(
            f"{path}, from {', '.join(owners)}, is not valid: {reason}.",
            hint="Use the encoded facts (title_json, title_toml, …) where a template carries the user's text.",
        )


class WriteError(GeneratorError):
    """The project could not be written. What was there before is untouched."""


class DestinationExists(WriteError):
    """The target folder holds something, or is a file."""

    slug = "destination-exists"

    def __init__(self, *, path: str, found: str) -> None:
        self.path = path
        super().__init__(
            f"{path} {found}; a new project needs a folder that does not exist yet, or an empty one.",
            hint="Name another one: `--out DIR`.",
        )


class OutputExists(WriteError):
    """The file to write is there already; it may hold somebody's edits."""

    slug = "output-exists"

    def __init__(self, *, path: str) -> None:
        self.path = path
        super().__init__(
            f"{path} exists already and is left as it is.",
            hint="Name another file with --out, or move this one away first.",
        )


class CannotWrite(WriteError):
    """The disk refused: no space, no permission, a read-only file system. Nothing is left behind."""

    slug = "cannot-write"

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be written: {reason}. Nothing was left behind.", hint="Name another folder: `--out DIR`."
        )


class DataNotFound(GeneratorError):
    """The data file a use case names is not there, or is no file."""

    slug = "data-not-found"

    def __init__(self, *, path: str, asked_by: str) -> None:
        self.path = path
        super().__init__(
            f"The data file {path}, which {asked_by} names, is not a file that can be read.",
            hint="`data.source` is relative to usecase.yaml: correct it, or put the file there.",
        )


class SpecNotFound(GeneratorError):
    """The use case's file cannot be read."""

    slug = "spec-not-found"

    def __init__(self, *, path: str, reason: str) -> None:
        self.path = path
        super().__init__(
            f"{path} cannot be read: {reason}.",
            hint="`ai-factory profile DATA --target COLUMN --out usecase.yaml` writes one from a data file.",
        )


class MissingAnswer(GeneratorError):
    """Something only a person can say, asked for where there is nobody to ask."""

    slug = "missing-answer"
    exit_code = EXIT_USAGE

    def __init__(self, *, question: str, option: str) -> None:
        self.option = option
        super().__init__(
            f"{question} Nobody can be asked here: there is no terminal, or --yes was given.",
            hint=f"Say it with {option}.",
        )


class Declined(GeneratorError):
    """The person looked at the plan and said no."""

    slug = "declined"

    def __init__(self) -> None:
        super().__init__("Nothing was written.", hint="Edit the use case and come back, or try `--dry-run`.")
