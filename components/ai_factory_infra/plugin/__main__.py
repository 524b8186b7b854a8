"""What Pulumi starts when a program of another language uses the library."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from ai_factory_infra.provider import serve

if __name__ == "__main__":
    serve(sys.argv[1:])
