"""Which jobs of a code host may assume the deploy role: the tokens of GitHub and GitLab, as plain values.

AWS trusts a token for its audience and its subject, both compared letter for letter. GitHub's subject names repository and
environment. GitLab's must be told to name the environment: `project_path`, `ref_type`, `ref`, `environment_protected` and
`deployment_tier`, in this order, as the project's `ci_id_token_sub_claim_components` (GitLab 18.7 and later).
GitHub: "OpenID Connect reference". GitLab: "OpenID Connect (OIDC) authentication using ID tokens".
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

GITHUB = "token.actions.githubusercontent.com"
TIERS: Mapping[str, str] = {"dev": "development", "staging": "staging", "prod": "production"}
REPOSITORY = r"[a-z0-9.-]+(/[A-Za-z0-9_.-]+){2,}"


@dataclass(frozen=True, slots=True)
class Trust:
    """Whose tokens, for whom, about whom: the issuer's host, the audience, and every subject that is trusted."""

    issuer: str
    audience: str
    subjects: tuple[str, ...]

    @property
    def conditions(self) -> dict[str, dict[str, object]]:
        """As IAM takes them: no wildcard, so no subject that merely begins the same."""
        return {"StringEquals": {f"{self.issuer}:aud": self.audience, f"{self.issuer}:sub": list(self.subjects)}}


def trust_of(repository: str, stage: str, *, branch: str = "main") -> Trust:
    """The trust for one repository's jobs in the environment that is called like the stage.

    Raises ValueError, saying what is allowed, where the repository is no address or its host is neither.
    """
    host, _, path = repository.partition("/")
    if not re.fullmatch(REPOSITORY, repository):
        raise ValueError(f"got {repository!r}; allowed: HOST/OWNER/NAME, such as github.com/acme/churn")
    if host == "github.com":
        if path.count("/") != 1:
            raise ValueError(f"got {repository!r}; GitHub allows github.com/OWNER/NAME")
        return Trust(GITHUB, "sts.amazonaws.com", (f"repo:{path}:environment:{stage}",))
    if "gitlab" in host.split("."):
        return Trust(host, f"https://{host}", tuple(_gitlab(path, stage, branch)))
    raise ValueError(
        f"got the host {host!r}; allowed: github.com, gitlab.com, or a GitLab of yours such as gitlab.acme.org"
    )


def _gitlab(path: str, stage: str, branch: str) -> list[str]:
    """dev may be protected or not; everything else must be."""
    protections = ("false", "true") if stage == "dev" else ("true",)
    start = f"project_path:{path}:ref_type:branch:ref:{branch}"
    return [f"{start}:environment_protected:{p}:deployment_tier:{TIERS[stage]}" for p in protections]
