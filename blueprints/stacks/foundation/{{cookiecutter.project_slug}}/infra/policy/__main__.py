"""The policy pack, for Pulumi's engine: `pulumi up --policy-pack infra/policy`. The rules are in `ai_factory_infra.rules`."""

from __future__ import annotations

from ai_factory_infra.policy_pack import serve

serve("{{ cookiecutter.project_slug }}-policy")
