"""Which parts of a network learn in a phase is a function of plan and phase alone."""

from __future__ import annotations

import copy

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_training import ALL, BLOCKS, LATE, ONLY_HEAD, toy_backbone, toy_network, toy_pictures, toy_plan

from headstart.errors import OptionError
from headstart.training.network import HIDDEN, bind, make_head, trained_names
from headstart.training.plan import HEAD, Phase

PHASES = (ONLY_HEAD, LATE, ALL)


def what_bind_does(network: nn.Module, plan, phase):  # type: ignore[no-untyped-def]
    groups = bind(network, plan, phase)
    names = {id(parameter): name for name, parameter in network.named_parameters()}
    described = [{**g, "params": [names[id(p)] for p in g["params"]]} for g in groups]
    learning = {name: parameter.requires_grad for name, parameter in network.named_parameters()}
    modes = {name: part.training for name, part in network.named_modules()}
    return described, learning, modes


@settings(deadline=None, max_examples=25)
@given(
    history=st.lists(st.sampled_from(PHASES), max_size=4), phase=st.sampled_from(PHASES), shaken=st.booleans()
)
def test_bind_depends_on_the_phase_and_not_on_what_came_before(
    history: list[Phase], phase: Phase, shaken: bool
) -> None:
    plan = toy_plan()
    fresh, used = toy_network(plan), toy_network(plan)
    for earlier in history:
        bind(used, plan, earlier)
        if shaken:
            used.eval()
            used.requires_grad_(True)
            used.backbone.train()
    assert what_bind_does(used, plan, phase) == what_bind_does(fresh, plan, phase)


@pytest.mark.parametrize("phase", PHASES, ids=lambda phase: phase.name)
def test_whole_blocks_learn_and_the_others_do_not(phase: Phase) -> None:
    plan = toy_plan()
    network = toy_network(plan)
    groups, learning, modes = what_bind_does(network, plan, phase)
    for block in BLOCKS:
        expected = block in phase.trainable
        inside = {n: v for n, v in learning.items() if n.startswith(f"backbone.blocks.{block}.")}
        assert set(inside.values()) == {expected}
        norms = {n: m for n, m in modes.items() if n.startswith(f"backbone.blocks.{block}")}
        assert set(norms.values()) == {expected}
    assert modes["head"]
    assert learning["head.1.weight"]
    wanted = {name for name, learns in learning.items() if learns}
    assert {name for group in groups for name in group["params"]} == wanted
    assert [group["lr"] for group in groups] == [phase.rates[group["name"]] for group in groups]
    assert list(dict.fromkeys(group["name"] for group in groups)) == [*phase.trainable, HEAD]
    for group in groups:
        flat = ["1.weight" in name or "bias" in name for name in group["params"] if "head.1" not in name]
        assert group["weight_decay"] in (0.0, plan.settings.weight_decay)
        assert all(flat) if group["weight_decay"] == 0 else not any(flat)


def test_frozen_norms_keep_their_statistics_whatever_is_called() -> None:
    plan = toy_plan()
    network = toy_network(plan)
    bind(network, plan, LATE)
    before = copy.deepcopy(network.state_dict())
    for shake in (network.train, network.backbone.train, network.backbone.blocks["one"].train):
        shake()
        network(toy_pictures(12)[0])
    after = network.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert changed == {
        f"backbone.blocks.head.1.{name}" for name in ("running_mean", "running_var", "num_batches_tracked")
    }


def test_starting_in_the_middle_gives_the_same_logits() -> None:
    plan = toy_plan()
    network = toy_network(plan).eval()
    backbone, pixels = network.backbone, toy_pictures(6)[0]
    expected = network(pixels)
    grid = backbone.run_blocks(backbone.normalise(pixels), stop="two")
    torch.testing.assert_close(network(grid, "head"), expected)
    torch.testing.assert_close(network(backbone(pixels)[1], HEAD), expected)


def test_the_pool_learns_with_the_last_block() -> None:
    plan = toy_plan()
    network = toy_network(plan)
    network.backbone.pool = nn.ModuleDict({"norm": nn.LayerNorm(8)})
    bind(network, plan, ONLY_HEAD)
    assert not network.backbone.pool["norm"].weight.requires_grad
    groups = bind(network, plan, LATE)
    assert any(p is network.backbone.pool["norm"].weight for g in groups for p in g["params"])
    assert "backbone.pool.norm.weight" in trained_names(network, plan)


def test_a_source_classifier_is_never_trained() -> None:
    plan = toy_plan()
    network = toy_network(plan)
    network.backbone.classifier = nn.Linear(8, 5)
    groups = bind(network, plan, ALL)
    assert not network.backbone.classifier.weight.requires_grad
    assert not any(p is network.backbone.classifier.weight for g in groups for p in g["params"])
    assert not any("classifier" in name for name in trained_names(network, plan))


def test_checkpoints_need_only_what_the_plan_changes() -> None:
    network = toy_network(toy_plan())
    names = trained_names(network, toy_plan(ONLY_HEAD, LATE))
    assert {name.split(".")[0] for name in names} == {"backbone", "head"}
    assert {name.split(".")[2] for name in names if name.startswith("backbone")} == {"head"}
    assert "backbone.blocks.head.1.running_mean" in names


def test_a_plan_for_another_backbone_or_block_is_refused() -> None:
    network = toy_network(toy_plan())
    with pytest.raises(OptionError, match="vgg16"):
        bind(network, toy_plan().replace(backbone="vgg16"), LATE)
    gap = toy_plan(Phase("gap", 1, {"one": 1e-3, HEAD: 1e-3}))
    with pytest.raises(OptionError, match="whole blocks from the end"):
        bind(network, gap, gap.phases[0])


def test_heads() -> None:
    plan = toy_plan(dropout=0.4, initialisation="he_normal")
    linear, mlp = make_head(plan, 8, 5), make_head(plan.replace(head="mlp"), 8, 5)
    assert [type(part) for part in linear] == [nn.Dropout, nn.Linear]
    assert [type(part) for part in mlp] == [nn.Dropout, nn.Linear, nn.ReLU, nn.Dropout, nn.Linear]
    assert mlp[1].out_features == HIDDEN
    assert linear[0].p == 0.4
    assert tuple(mlp(torch.zeros(2, 8)).shape) == (2, 5)
    again, other = make_head(plan, 8, 5), make_head(plan.replace(seed=9), 8, 5)
    assert torch.equal(linear[1].weight, again[1].weight)
    assert not torch.equal(linear[1].weight, other[1].weight)
    with pytest.raises(OptionError, match="linear or mlp"):
        make_head(plan.replace(head="centroid"), 8, 5)


def test_a_copy_of_a_bound_network_keeps_its_own_blocks_frozen() -> None:
    plan = toy_plan()
    network = toy_network(plan)
    bind(network, plan, LATE)
    twin = copy.deepcopy(network).train()
    assert not twin.backbone.blocks["one"].training
    assert twin.backbone.blocks["head"].training
    assert toy_backbone().blocks["one"] is not network.backbone.blocks["one"]
