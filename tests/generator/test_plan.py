"""The plan: every need met or refused with the reason, everything in an order that holds, nothing left to chance."""

from __future__ import annotations

from pathlib import Path

import pytest
from ai_factory.catalog import Catalog
from ai_factory.errors import Conflict, Cycle, NoBlueprint
from ai_factory.facts import FACTS
from ai_factory.loading import load_catalog
from ai_factory.plan import resolve
from helpers_generator import asking_for, plan_of, usecase, write_blueprint, write_minimum


def needs(name: str, because: str = "it must") -> list[dict[str, str]]:
    return [{"need": name, "because": because}]


def ids(folder: Path, **fields: object) -> list[str]:
    return [layer.id for layer in plan_of(folder, **fields).layers]


def test_what_is_needed_is_added_with_the_reason(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/serving", requires=needs("stacks/registry", "the model comes from there"))
    write_blueprint(tmp_path, "stacks/registry", requires=needs("storage"))
    write_blueprint(tmp_path, "stacks/foundation", provides=["storage"])
    plan = plan_of(tmp_path, stacks=["serving"])
    reasons = {layer.id: layer.reasons for layer in plan.layers}
    assert reasons["stacks/serving"] == ("`stacks` asks for it",)
    assert reasons["stacks/registry"] == ("stacks/serving needs it: the model comes from there",)
    assert "'storage', which it provides" in reasons["stacks/foundation"][0]
    assert plan.facts["stacks"] == "foundation registry serving"


def test_what_is_needed_comes_first_then_kind_then_name(tmp_path: Path) -> None:
    write_minimum(tmp_path, "architectures/realtime")
    write_blueprint(tmp_path, "architectures/realtime", requires=needs("pipelines/z"))
    for name in "zab":
        write_blueprint(tmp_path, f"pipelines/{name}")
    order = ids(tmp_path, pipelines=["b", "z", "a"])
    assert order == [
        "project/base",
        "pipelines/a",
        "pipelines/b",
        "pipelines/z",
        "architectures/realtime",
        "approvals/standard",
        "ci/github",
    ]


def test_the_order_does_not_depend_on_the_order_of_the_lists(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    for name in "abc":
        write_blueprint(tmp_path, f"stacks/{name}")
    assert ids(tmp_path, stacks=["c", "a", "b"]) == ids(tmp_path, stacks=["b", "c", "a"])


def test_an_unknown_name_is_refused_with_the_nearest_and_all_others(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/serving")
    with pytest.raises(NoBlueprint, match="stacks/servign") as refused:
        plan_of(tmp_path, stacks=["servign"])
    assert "did you mean 'serving'" in str(refused.value)
    with pytest.raises(NoBlueprint, match="there are realtime"):
        plan_of(tmp_path, architecture="quantum")


def test_a_conflict_names_both_and_the_reason_and_the_nearest_combination_that_works(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "architectures/batch")
    clash = [{"with": "architectures/realtime", "because": "files cannot be streamed to an endpoint"}]
    write_blueprint(tmp_path, "pipelines/bulk", conflicts=clash)
    with pytest.raises(Conflict) as refused:
        plan_of(tmp_path, pipelines=["bulk"])
    text = str(refused.value)
    assert "pipelines/bulk does not work with architectures/realtime: files cannot be streamed to an endpoint." in text
    assert refused.value.nearest == "architecture: batch instead of realtime"
    plan_of(tmp_path, pipelines=["bulk"], architecture="batch")


def test_the_nearest_combination_may_take_two_changes(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    clash = [{"with": "architectures/realtime", "because": "so"}]
    write_blueprint(tmp_path, "pipelines/one", conflicts=clash)
    write_blueprint(tmp_path, "pipelines/two", conflicts=clash)
    with pytest.raises(Conflict) as refused:
        plan_of(tmp_path, pipelines=["one", "two"])
    assert len(refused.value.reasons) == 2
    assert refused.value.nearest == "pipelines without one and pipelines without two"


def test_a_conflict_that_nothing_near_resolves_says_so(tmp_path: Path) -> None:
    write_minimum(tmp_path, "ci/github")
    write_blueprint(tmp_path, "ci/github", conflicts=[{"with": "project/base", "because": "it cannot"}])
    with pytest.raises(Conflict, match="No combination near this one works"):
        plan_of(tmp_path)


def test_a_conflict_met_only_through_a_need_is_found(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/a", requires=needs("stacks/b"))
    write_blueprint(tmp_path, "stacks/b")
    write_blueprint(tmp_path, "stacks/c", conflicts=[{"with": "stacks/b", "because": "both claim the network"}])
    with pytest.raises(Conflict, match="both claim the network"):
        plan_of(tmp_path, stacks=["a", "c"])


def test_a_need_of_another_single_choice_is_a_conflict_and_not_silently_replaced(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "architectures/batch")
    write_blueprint(tmp_path, "pipelines/bulk", requires=needs("architectures/batch", "it writes files"))
    with pytest.raises(Conflict) as refused:
        plan_of(tmp_path, pipelines=["bulk"])
    assert "only one of architectures" in str(refused.value)
    assert refused.value.nearest == "architecture: batch instead of realtime"


def test_a_capability_that_several_could_give_is_the_users_choice(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/a", requires=needs("storage"))
    write_blueprint(tmp_path, "stacks/disk", provides=["storage"])
    write_blueprint(tmp_path, "stacks/tape", provides=["storage"])
    with pytest.raises(Conflict) as refused:
        plan_of(tmp_path, stacks=["a"])
    assert "stacks/disk or stacks/tape would give: choose one" in str(refused.value)
    assert refused.value.nearest == "disk added to stacks"
    assert "stacks/disk" not in ids(tmp_path, stacks=["a", "tape"])


def test_a_need_nobody_meets_is_refused_with_the_nearest_name(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/a", requires=needs("storrage"))
    write_blueprint(tmp_path, "stacks/disk", provides=["storage"])
    with pytest.raises(Conflict, match="did you mean 'storage'"):
        plan_of(tmp_path, stacks=["a"])


def test_a_circle_of_needs_is_refused_and_drawn(tmp_path: Path) -> None:
    write_minimum(tmp_path)
    write_blueprint(tmp_path, "stacks/c", requires=needs("stacks/a"))
    write_blueprint(tmp_path, "stacks/a", requires=needs("stacks/b"))
    write_blueprint(tmp_path, "stacks/b", requires=needs("stacks/a"))
    with pytest.raises(Cycle) as refused:
        plan_of(tmp_path, stacks=["c"])
    assert refused.value.circle == ("stacks/a", "stacks/b")
    assert "stacks/a needs stacks/b needs stacks/a" in str(refused.value)


def test_the_facts_are_exactly_the_documented_ones(tmp_path: Path) -> None:
    plan = plan_of(write_minimum(tmp_path))
    assert set(plan.facts) == set(FACTS)


def test_the_built_in_blueprints_work_together_in_every_architecture() -> None:
    catalog: Catalog = load_catalog()
    for architecture in catalog.of_kind("architectures"):
        plan = resolve(usecase(architecture=architecture.name), catalog, factory_version="0")
        assert plan.layers[0].id == "project/base"
        chosen = [layer.id for layer in plan.layers]
        for layer in plan.layers:
            assert all(chosen.index(need) < chosen.index(layer.id) for need in layer.needs)


def test_the_same_use_case_gives_the_same_plan(tmp_path: Path) -> None:
    catalog = load_catalog(write_minimum(tmp_path))
    assert resolve(asking_for(), catalog, factory_version="0") == resolve(asking_for(), catalog, factory_version="0")
