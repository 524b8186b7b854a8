"""Runbooks: the page and section that say what to do when an alarm is raised, and the address they are read at.

The pages travel with every generated repository, in its folder `docs`. Where it is known at which address the repository is,
an alarm names that address, so that whoever is paged opens the page; elsewhere it names the file.
"""

from __future__ import annotations

DOCS = "docs"

SERVING = "serve-on-aws.md#what-you-will-be-told"
RETRAINING = "provision-on-aws.md#what-you-will-be-told"
APPROVALS = "govern-the-cloud.md#two-persons-approve"
MONITORING = "monitor-a-model.md#when-something-is-drift"
STREAMS = "stream-data-in.md#what-happens-when-something-is-wrong"


def docs_of(repository: str, branch: str = "main") -> str:
    """Where a repository's pages are read: `github.com/acme/churn` -> `https://github.com/acme/churn/blob/main/docs`.

    Without a repository the folder itself. Hosts that are called gitlab show files under `/-/`.
    """
    if not repository:
        return DOCS
    shown = "/-/blob" if "gitlab" in repository.partition("/")[0].split(".") else "/blob"
    return f"https://{repository}{shown}/{branch}/{DOCS}"
