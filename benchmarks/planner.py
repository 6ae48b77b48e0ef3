"""Is the planner right? Every strategy is run for real in ten regimes of data, and compared with its choice.

    HEADSTART_DATA=… python benchmarks/planner.py [--items 2000] [--size 128] [--epochs 8] [--seeds 3]
        [--regimes NAME …] [--strategies NAME …] [--minutes-budget 70] [--state FILE]

Regret is the accuracy on test of the best strategy of a regime (the mean over the seeds) less that of the
strategy that the planner chose; its standard error is that of the paired differences. Four regimes
calibrated the planner's thresholds, the others judge them; which is which was fixed before any result was
seen (support/regimes.py). A run that is stopped goes on where it was: what is done is in the state file.
"""

from __future__ import annotations

import argparse
import json
import math
import statistics
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from headstart.process import tune_process

tune_process()

import numpy as np  # noqa: E402
import torch  # noqa: E402
from support.common import record, table, verdict  # noqa: E402
from support.regimes import REGIMES, Regime, standard_error  # noqa: E402

from headstart import backbones  # noqa: E402
from headstart.engines.choosing import choose  # noqa: E402
from headstart.files import write_json  # noqa: E402
from headstart.fitting.arranging import Arrangement, arrange  # noqa: E402
from headstart.fitting.gathering import Gathered  # noqa: E402
from headstart.fitting.planning import measure  # noqa: E402
from headstart.training.loop import TrainingData, train  # noqa: E402
from headstart.training.network import Network, make_head  # noqa: E402
from headstart.training.pixels import Canvases, PixelInputs  # noqa: E402
from headstart.training.plan import STRATEGIES, Plan  # noqa: E402
from headstart.transfer import planner  # noqa: E402
from headstart.transfer.boundary import boundary_inputs  # noqa: E402
from headstart.transfer.depths import depth_features  # noqa: E402
from headstart.transfer.features import Features  # noqa: E402
from headstart.transfer.heads import Head  # noqa: E402
from headstart.transfer.passes import extract  # noqa: E402
from headstart.transfer.selection import one_core_each, select  # noqa: E402
from headstart.transfer.store import FeatureStore  # noqa: E402

BACKBONE = "efficientnet_lite0"
MEAN_REGRET, WORST_REGRET, SHARE = 0.010, 0.025, 0.10


class Bench:
    """One regime with one seed: its data, arranged; what was measured on it; each strategy, run."""

    def __init__(self, regime: Regime, seed: int, options: argparse.Namespace, store: FeatureStore) -> None:
        self.seed, self.options, self.store = seed, options, store
        self.dataset = regime.open(seed, options.items)
        network = backbones.load(BACKBONE).at(options.size)
        choice = choose(network.card, lambda: network)
        done = extract(self.dataset, store, network.card, choice.key, choice.start, progress=False)
        rows, item, missing = done.read(store)
        if missing:
            raise SystemExit(f"{len(missing)} items of {regime.name} cannot be read")
        features = Features(rows, item, np.arange(len(self.dataset)))
        self.gathered = Gathered(self.dataset, features, done.facts, network.card, choice.key, done.computed)
        self.arrangement: Arrangement = arrange(self.gathered, folds=False, val_share=0.2, seed=seed)

    def choose(self) -> dict[str, Any]:
        """Let the planner choose; returns what it chose, and what that took."""
        started = time.monotonic()
        evidence, cost = measure(self.gathered, self.arrangement, self.store, seed=self.seed)
        chosen = planner.plan(evidence, cost, seed=self.seed)
        plans = {s: planner.plan(evidence, cost, strategy=s, seed=self.seed).to_json() for s in STRATEGIES}
        shown = {**chosen.evidence, "depths": {d.block: round(d.accuracy, 4) for d in evidence.depths}}
        return {
            "chosen": chosen.strategy,
            "seconds": time.monotonic() - started,
            "evidence": shown,
            "plans": plans,
        }

    def run(self, plan: Plan) -> float:
        """Do what a plan says, with fewer epochs; returns the accuracy on test."""
        if not plan.phases:
            return self._probe(plan.cut)[1]
        limit = self.options.epochs
        phases = tuple(
            replace(p, epochs=min(limit, p.epochs), views=min(p.views, (limit + 1) // 2)) for p in plan.phases
        )
        return self._trained(plan.replace(phases=phases))

    def _probe(self, cut: str) -> tuple[Head, float]:
        network = backbones.load(BACKBONE).at(self.options.size)
        features = depth_features(self.dataset, network, self.store, progress=False)[0][cut]
        data = replace(
            self.arrangement.data, features=replace(features, group=self.arrangement.data.features.group)
        )
        with one_core_each():
            refit = data.take(self.arrangement.refit)
            strength = select(data.take(self.arrangement.train), "linear", seed=self.seed).strength
            head = refit.fit("linear", strength, None, self.seed)
        test = data.take(self.arrangement.test)
        # What training starts from must not have seen val.
        start = data.take(self.arrangement.train).fit("linear", strength, None, self.seed)
        return start, float((test.logits(head).argmax(1) == test.y).mean())

    def _trained(self, plan: Plan) -> float:
        backbone = backbones.load(BACKBONE).at(plan.size)
        data, arrangement = self.arrangement.data, self.arrangement
        head = make_head(plan, backbone.card.features, data.classes)
        if plan.strategy == "scratch":
            from headstart.training.initialisation import initialise

            initialise(backbone.blocks, plan.settings.initialisation, plan.seed)
        else:
            (weight, bias), linear = self._probe(plan.cut)[0].layers[0], head[-1]
            with torch.no_grad():
                linear.weight.copy_(torch.from_numpy(np.ascontiguousarray(weight.T)))  # type: ignore[operator]
                linear.bias.copy_(torch.from_numpy(bias))  # type: ignore[operator]
        network = Network(backbone, head)
        canvases = Canvases(self.dataset.items, backbone.card.preprocess)

        def inputs(phase: Any) -> Any:
            frozen = [name for name in backbone.card.blocks if name not in phase.trainable]
            if not (frozen and phase.views):
                return PixelInputs(canvases, phase.augment, plan.seed)
            return boundary_inputs(
                self.dataset, self.store, backbone, frozen[-1], train=arrangement.train, val=arrangement.val,
                augmentation=phase.augment, views=phase.views, seed=plan.seed, progress=False,
            )  # fmt: skip

        split = (arrangement.train, arrangement.val, data.classes)
        task = TrainingData(inputs, data.y, *split, self.gathered.digest, arrangement.labels)
        train(network, plan, task, progress=False)
        plain, right = PixelInputs(canvases), 0
        network.eval()
        for start in range(0, len(arrangement.test), 32):
            items = arrangement.test[start : start + 32]
            with torch.inference_mode():
                answers = network(plain.batch(items, None)).argmax(1).numpy()
            right += int((answers == data.y[items]).sum())
        return right / len(arrangement.test)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, default=2000, help="training items at most")
    parser.add_argument("--size", type=int, default=128, help="side of the pictures")
    parser.add_argument("--epochs", type=int, default=8, help="of each phase at most")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--regimes", nargs="*", help="names that begin so; all by default")
    parser.add_argument("--strategies", nargs="*", default=list(STRATEGIES), choices=STRATEGIES)
    parser.add_argument("--minutes-budget", type=float, default=float("inf"), help="stop after so many")
    parser.add_argument("--state", type=Path, default=Path("planner-state.json"))
    options = parser.parse_args()
    until = time.monotonic() + 60 * options.minutes_budget
    chosen = [r for r in REGIMES if not options.regimes or r.name.startswith(tuple(options.regimes))]
    setting = f"{options.items} items, {options.size} px, {options.epochs} epochs"
    state: dict[str, Any] = json.loads(options.state.read_text()) if options.state.exists() else {}
    done = state.setdefault(setting, {})
    with FeatureStore() as store:
        # Seeds outside: a run that is stopped early has some result of every regime.
        for seed in range(options.seeds):
            for regime in chosen:
                if time.monotonic() > until:
                    print("out of time; run it again to go on")
                    break
                _regime(regime, seed, options, store, done, state, until)
    report(chosen, options, setting, done)


def _regime(
    regime: Regime,
    seed: int,
    options: argparse.Namespace,
    store: FeatureStore,
    done: dict[str, Any],
    state: dict[str, Any],
    until: float,
) -> None:
    """Do what is still to be done for a regime and a seed, and write it down at once."""
    bench: Bench | None = None
    for step in ("planner", *options.strategies):
        key = f"{regime.name}|{step}|{seed}"
        if key in done or time.monotonic() > until:
            continue
        bench = bench or Bench(regime, seed, options, store)
        if step == "planner":
            found = bench.choose()
        else:
            started = time.monotonic()
            plan = Plan.from_json(done[f"{regime.name}|planner|{seed}"]["plans"][step])
            found = {"accuracy": bench.run(plan), "seconds": time.monotonic() - started}
        done[key] = found
        write_json(options.state, state)
        said = found.get("accuracy", found.get("chosen"))
        print(f"{regime.name}, {step}, seed {seed}: {said} ({found['seconds']:.0f} s)", flush=True)


def report(regimes: list[Regime], options: argparse.Namespace, setting: str, done: dict[str, Any]) -> None:
    """Print the table of regimes, and record the regret of those that judge."""
    rows: list[tuple[object, ...]] = [
        ("regime", "for", *options.strategies, "chosen", "regret", "standard error", "planning / all")
    ]
    figures: dict[str, dict[str, tuple[float, float, float]]] = {"calibrating": {}, "judging": {}}
    for regime in regimes:
        steps = ("planner", *options.strategies)
        seeds = [
            s for s in range(options.seeds) if all(f"{regime.name}|{step}|{s}" in done for step in steps)
        ]
        if not seeds:
            continue
        scores = {
            step: [done[f"{regime.name}|{step}|{s}"]["accuracy"] for s in seeds]
            for step in options.strategies
        }
        picks = [done[f"{regime.name}|planner|{s}"]["chosen"] for s in seeds]
        best = max(scores, key=lambda step: statistics.mean(scores[step]))
        differences = [scores[best][n] - scores[pick][n] for n, pick in enumerate(picks)]
        regret, error = statistics.mean(differences), standard_error(differences)
        planning = sum(done[f"{regime.name}|planner|{s}"]["seconds"] for s in seeds)
        everything = sum(
            done[f"{regime.name}|{step}|{s}"]["seconds"] for s in seeds for step in options.strategies
        )
        part = "calibrating" if regime.calibrates else "judging"
        figures[part][regime.name] = (regret, error, planning / everything)
        means = [statistics.mean(scores[step]) for step in options.strategies]
        rows.append(
            (regime.name, part, *means, "/".join(dict.fromkeys(picks)), regret, error, planning / everything)
        )
    table(f"Accuracy on test, {setting}, mean over the seeds", rows)
    for part, found in figures.items():
        if found:
            _judge(part, found, options, setting)


def _judge(
    part: str, found: dict[str, tuple[float, float, float]], options: argparse.Namespace, setting: str
) -> None:
    mean = statistics.mean(regret for regret, _, _ in found.values())
    worst = max(found, key=lambda name: found[name][0])
    regret, error, _ = found[worst]
    share = statistics.mean(share for _, _, share in found.values())
    known = error if math.isfinite(error) else 0.0  # one seed says nothing about the spread
    fine = "met" if regret <= max(WORST_REGRET, 2 * known) else "missed"
    limit = f"{WORST_REGRET} or 2 × {known:.3f}"
    table(
        f"The {len(found)} {part} regimes",
        [
            ("", "value", "target", ""),
            ("mean regret", mean, MEAN_REGRET, verdict(mean, MEAN_REGRET, at_least=False)),
            (f"worst regret ({worst})", regret, limit, fine),
            ("planning, share of trying all", share, SHARE, verdict(share, SHARE, at_least=False)),
        ],
    )  # fmt: skip
    record(
        "planner",
        {"part": part, "setting": setting, "seeds": options.seeds, "regimes": "; ".join(found),
         "strategies": "; ".join(options.strategies),
         "mean_regret": mean, "worst_regret": regret, "worst_regime": worst, "worst_error": error,
         "share_of_cost": share, "mean_regret_ratio": mean / MEAN_REGRET,
         **{f"regret {name}": figure for name, (figure, _, _) in found.items()}},
    )  # fmt: skip


if __name__ == "__main__":
    main()
