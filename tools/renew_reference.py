"""Write what is read from the component library's sources: its reference page, its schema, and the stacks' inventories.

The tests compare each with what is stored, so a change of the library is seen where it is reviewed.
"""

from __future__ import annotations

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import helpers_inventory  # noqa: E402 - found only once its folder is known
from ai_factory_infra import provider, reference  # noqa: E402
from ai_factory_infra.catalogue import catalogue  # noqa: E402


def main() -> None:
    """Write every file; the inventories of blueprints that are gone are removed."""
    (ROOT / "playbooks" / "component-reference.md").write_text(reference.page(catalogue()), encoding="utf-8")
    provider.SCHEMA.write_text(provider.schema(), encoding="utf-8")
    helpers_inventory.renew()


if __name__ == "__main__":
    main()
