"""The training loop: the phases of a plan one after the other, stopped and resumed without a trace."""

from __future__ import annotations

import contextlib
import math
import time
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from headstart.errors import OptionError
from headstart.progress import Say, quiet, track
from headstart.training import losses, monitor, optimisers, schedules
from headstart.training.averaging import Average
from headstart.training.checkpoints import Identity, load_optimiser, optimiser_state
from headstart.training.clock import Clock
from headstart.training.data import Trained, TrainingData, check, class_weights
from headstart.training.diagnostics import told
from headstart.training.keeping import Keeper
from headstart.training.mixing import mix
from headstart.training.network import Network, bind, trained_names
from headstart.training.plan import Plan
from headstart.training.precision import Autocast, mixed
from headstart.training.reproducible import reproducible, seed_torch
from headstart.training.sampling import Items, batches, order
from headstart.training.state import Diverged, Live, State, TimeUp, Unwanted
from headstart.training.validation import answers, ready, scores

__all__ = ["NO_GOOD_EPOCH", "Trained", "TrainingData", "train"]

NO_GOOD_EPOCH = "at least one good epoch of training"
"""What the error expects where training ended before any epoch did."""

_LOOK_EVERY = 10
"""Steps from one line of the history to the next."""
_MEASURE_EVERY = 100
"""Steps at least between two closer looks (`monitor.measure`), each of which costs about one step."""
_MEASURED = 8


def train(
    network: Network,
    plan: Plan,
    data: TrainingData,
    *,
    run: Path | None = None,
    resume: bool = False,
    deadline: float | None = None,
    say: Say = quiet,
    on_epoch: Callable[[dict[str, Any]], bool] | None = None,
    progress: bool = True,
    every: float = 30.0,
) -> Trained:
    """Train a network as a plan says.

    Each phase starts from the best weights so far, by validation loss. On a CPU the result is the same to
    the bit however often the run is killed and resumed, with the same number of threads: order and views of
    the items are functions of (seed, phase, epoch), everything else is in the checkpoints.

    Args:
        network: What is trained; at return it holds the best weights.
        plan: What is trained, when and how.
        data: What is learned from.
        run: Folder of plan.json, history.jsonl and checkpoints. Defaults to None: nothing is kept.
        resume: Whether to go on from the newest checkpoint in `run`. Defaults to False.
        deadline: `time.monotonic()` at which it must have returned, float. Defaults to None.
        say: Where progress is told. Defaults to nowhere.
        on_epoch: Called with the history's line of each epoch; False ends the training. Defaults to None.
        progress: Whether to draw a bar. Defaults to True.
        every: Seconds between checkpoints at least, float; 0 saves after every step. Defaults to 30.

    Returns:
        How it went.

    Raises:
        OptionError: A plan for another network, a checkpoint of something else, nothing to resume, or no
            epoch could be finished: the loss was not finite, or time was up.
        DataError: No items to train or to validate on.
        StorageError: Checkpoints cannot be written, or all of them are damaged.

    Example:
        >>> import numpy as np
        >>> from headstart.backbones import Card, Preprocess
        >>> from headstart.backbones.backbone import Backbone
        >>> from headstart.training.network import make_head
        >>> from headstart.training.plan import HEAD, Phase, Settings
        >>> card = Card("toy", "toy", "here", "CC0-1.0", "nothing", Preprocess(8), 4, ("stem",), 112, "")
        >>> _ = torch.manual_seed(0)
        >>> toy = Backbone(card, {"stem": torch.nn.Conv2d(3, 4, 3)})
        >>> phase = Phase("all", 9, {"stem": 0.01, HEAD: 0.1})
        >>> plan = Plan("fine-tune-all", "toy", "stem", 8, (phase,), settings=Settings(batch=4))
        >>> class DarkAndBright:
        ...     start = None
        ...     def batch(self, items, epoch):
        ...         shade = 80 + 90 * torch.from_numpy(items % 2)
        ...         return shade.byte().view(-1, 1, 1, 1).expand(-1, 8, 8, 3)
        >>> y, items = np.arange(40) % 2, np.arange(40)
        >>> data = TrainingData(lambda phase: DarkAndBright(), y, items[:30], items[30:], 2, "greys")
        >>> train(Network(toy, make_head(plan, 4, 2)), plan, data).val_accuracy
        1.0
    """
    plan.check(network.backbone.card.name, network.backbone.card.blocks)
    check(data, plan, say)
    identity = Identity.of(plan, network.backbone.card.digest, data.digest, data.labels)
    keeper = Keeper(run, identity, plan, resume=resume, every=every, say=say)
    well = False
    try:
        device = next(network.parameters()).device
        with reproducible(device), mixed(network, plan.settings.precision) as autocast:
            training = _Training(network, plan, data, autocast, keeper, deadline, say, progress, on_epoch)
            trained = training.run()
        well = True
    finally:
        keeper.close(well=well)
    return trained


class _Training:
    def __init__(
        self,
        network: Network,
        plan: Plan,
        data: TrainingData,
        autocast: Autocast,
        keeper: Keeper,
        deadline: float | None,
        say: Say,
        progress: bool,
        on_epoch: Callable[[dict[str, Any]], bool] | None,
    ) -> None:
        self.on_epoch = on_epoch
        self.network, self.plan, self.data, self.autocast = network, plan, data, autocast
        self.keeper, self.say, self.progress = keeper, say, progress
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.device = next(network.parameters()).device
        self.settings = plan.settings
        self.batch = min(plan.settings.batch, len(data.train))
        self.clock = Clock(deadline, len(data.val) / (self.batch * plan.settings.accumulate))
        self.y = torch.from_numpy(data.y)
        weights = class_weights(data) if plan.settings.class_weight else None
        self.criterion = losses.loss(plan.settings, weights)
        self.plain_criterion = losses.loss(replace(plan.settings, label_smoothing=0.0), weights)
        self.names = trained_names(network, plan)
        self.state = State()
        self.best: dict[str, Tensor] = {}
        self.restored: dict[str, Tensor] = {}  # of the phase that a checkpoint was written in
        if keeper.restored is not None:
            self.restored, state, self.best = keeper.restored
            self.state = State(**state)
            self.load_weights(_below(self.restored, "weights."))
            say(f"Resumed after epoch {self.state.epochs}, step {self.state.steps}.")

    def run(self) -> Trained:
        """Do what is left of the phases."""
        state, end = self.state, len(self.plan.phases)
        try:
            while state.phase < end:
                state.stopped = None
                self.do_phase()
                state.stopped = "done"
        except Unwanted:
            return self.result("its caller had seen enough")
        except TimeUp:
            self.say("Training stopped: time was up.")
            return self.result("time was up")
        except Diverged as reason:
            self.say(f"Training stopped: {reason}.")
            state.phase, state.stopped = end, str(reason)
        if self.best:
            self.load_weights(self.best)
        self.save()
        return self.result(str(state.stopped))

    def do_phase(self) -> None:
        """Train until the epochs are done or have stopped helping; end with the best weights so far."""
        live, state, patience = self.begin(), self.state, self.settings.patience
        while state.epoch < self.length(live) and not (patience and state.waited >= patience):
            started, whole = time.monotonic(), state.step == 0
            self.do_epoch(live)
            if whole:
                self.clock.epoch(time.monotonic() - started)
                self.shorten(live)
            if self.keeper.due():
                self.save(live)
        self.load_weights(self.best)
        state.phase, state.epoch, state.waited, state.length = state.phase + 1, 0, 0, 0
        state.plateau = schedules.Plateau().state_dict()

    def length(self, live: Live) -> int:
        """Return how many epochs the phase has."""
        return self.state.length or live.phase.epochs

    def shorten(self, live: Live) -> None:
        """Do fewer epochs where there is no time for all: only at its end is the schedule worth it."""
        later = sum(phase.epochs for phase in self.plan.phases[self.state.phase + 1 :])
        done, planned, before = self.state.epoch, live.phase.epochs, self.length(live)
        left = min(planned - done, max(1.0, self.clock.epochs() - later))
        self.state.length = done + int(left) if done < planned else planned
        if self.state.length != before:
            self.say(f"{self.state.length} epochs instead of {before}, as the time allows.")

    def begin(self) -> Live:
        """Make what a phase needs: a function of plan and phase, and then what a checkpoint has of it."""
        phase = self.plan.phases[self.state.phase]
        inputs = self.data.inputs(phase)
        optimiser = optimisers.build(self.settings, bind(self.network, self.plan, phase))
        average = Average.of(self.network, self.settings.ema) if self.settings.ema else None
        plateau = schedules.Plateau().load_state_dict(self.state.plateau)
        if self.restored:
            load_optimiser(optimiser, _below(self.restored, "optimiser."))
            if average is not None:
                average.load_state(_below(self.restored, "average."))
            torch.set_rng_state(self.restored["rng"])
            self.restored = {}
        return Live(phase, inputs, optimiser, average, plateau)

    def do_epoch(self, live: Live) -> None:
        """Go once through the items, from the step on that is next, and validate."""
        state, settings, epochs = self.state, self.settings, self.length(live)
        key = (self.plan.seed, state.phase, state.epoch)
        items = order(self.data.train, self.data.y, key, settings.sampling)
        steps = batches(items, self.batch, settings.accumulate)
        if state.step == 0:
            seed_torch(key)
        label = f"{live.phase.name}, epoch {state.epoch + 1} of {epochs}"
        for step in track(range(state.step, len(steps)), label, enabled=self.progress):
            if not self.clock.fits():
                self.stop_in_time(live)
            started = time.monotonic()
            place, places = state.epoch * len(steps) + step, epochs * len(steps)
            self.do_step(live, steps[step], schedules.factor(settings, place, places))
            self.clock.step(time.monotonic() - started)
            if self.keeper.due():
                self.save(live)
        self.validate(live, label)
        state.epoch, state.step, state.loss, state.seen = state.epoch + 1, 0, 0.0, 0

    def do_step(self, live: Live, parts: list[Items], factor: float) -> None:
        """Move the weights once, at a share of the peak rates, by the gradients of some batches."""
        state, optimiser = self.state, live.optimiser
        for group in optimiser.param_groups:
            group["lr"] = live.phase.rates[group["name"]] * factor * live.plateau.factor
        loss = self.add_gradients(live, parts)
        if self.settings.l1:
            _add_l1(optimiser, self.settings.l1)
        look = state.steps % _LOOK_EVERY == 0
        if look:
            line = self.where() | {"loss": loss, "rates": _rates(optimiser)}
            line["gradients"] = monitor.gradient_norms(optimiser)
            before = monitor.before_step(optimiser)
        if self.settings.clip:
            weights = (weight for group in optimiser.param_groups for weight in group["params"])
            torch.nn.utils.clip_grad_norm_(weights, self.settings.clip)
        optimiser.step()
        optimiser.zero_grad(set_to_none=True)
        if live.average is not None:
            live.average.update()
        if look:
            self.keeper.step(line | {"updates": monitor.update_ratios(optimiser, before)})
        items = sum(len(part) for part in parts)
        state.step, state.steps = state.step + 1, state.steps + 1
        state.loss, state.seen = state.loss + loss * items, state.seen + items

    def add_gradients(self, live: Live, parts: list[Items]) -> float:
        """Add up the gradients of the batches of a step; return the mean loss of their items."""
        mixing = self.settings.mixup > 0 or self.settings.cutmix > 0
        items, total = sum(len(part) for part in parts), 0.0
        # Counted through all planned epochs, so that no phase sees the views of another one again.
        view = sum(phase.epochs for phase in self.plan.phases[: self.state.phase]) + self.state.epoch
        for part in parts:
            x, y = ready(live.inputs.batch(part, view), self.device), self.y[part].to(self.device)
            if mixing:
                soft = losses.dense(y, self.data.classes)
                x, y = mix(x, soft, self.settings, torch.default_generator)
            with self.autocast():
                logits = self.network(x, live.inputs.start)
            loss = self.criterion(logits, y) * (len(part) / items)
            total += loss.item()
            if not math.isfinite(total):
                raise Diverged(self.diverged("training", total, live.optimiser))
            loss.backward()  # type: ignore[no-untyped-call]
        return total

    def validate(self, live: Live, label: str) -> None:
        """End an epoch: look at the validation items, keep the best weights, tell."""
        state, val, started = self.state, self.data.val, time.monotonic()
        line = self.where() | {"step": state.steps, "train_loss": state.loss / max(state.seen, 1)}
        with contextlib.nullcontext() if live.average is None else live.average.applied():
            logits = answers(self.network, live.inputs, val, self.batch, self.autocast, self.device)
            line |= scores(self.plain_criterion, logits, self.y[val], self.settings.loss == "binary")
            if not math.isfinite(line["val_loss"]):
                raise Diverged(self.diverged("validation", line["val_loss"], live.optimiser))
            better = state.best is None or line["val_loss"] < state.best["val_loss"]
            if better:
                state.best = dict(line)
                self.best = {name: tensor.clone() for name, tensor in self.weights().items()}
                self.best["val_logits"] = logits
        self.clock.validated(time.monotonic() - started)
        last = state.epoch + 1 == self.length(live)
        if (last or state.steps - state.measured >= _MEASURE_EVERY) and self.clock.fits(2):
            line |= self.measure(live)
        if self.settings.schedule == "plateau":
            live.plateau.update(line["val_loss"])
            state.plateau = live.plateau.state_dict()
        state.waited = 0 if better else state.waited + 1
        state.epochs += 1
        self.keeper.epoch(line)
        self.say(f"{label}: {_in_words(line)}{' (the best so far)' if better else ''}")
        if self.on_epoch is not None and not self.on_epoch(line):
            raise Unwanted

    def measure(self, live: Live) -> dict[str, Any]:
        """Return what is costly to measure: dead units, and the curvature along the gradient."""
        self.state.measured, items = self.state.steps, self.data.val[:_MEASURED]
        x = ready(live.inputs.batch(items, None), self.device)
        y = self.y[items].to(self.device).repeat_interleave(len(x) // len(items), 0)
        return monitor.measure(self.network, self.plain_criterion, x, y, live.inputs.start)

    def stop_in_time(self, live: Live) -> None:
        """Save, validate what was trained since the last validation, and end."""
        self.state.stopped = "time was up"
        self.save(live)
        if self.state.seen:
            self.validate(live, f"{live.phase.name}, a part of epoch {self.state.epoch + 1}")
        raise TimeUp

    def where(self) -> dict[str, Any]:
        """Return the phase, and the number of epoch and step in all phases, from 1."""
        name = self.plan.phases[self.state.phase].name
        return {"phase": name, "epoch": self.state.epochs + 1, "step": self.state.steps + 1}

    def diverged(self, what: str, loss: float, optimiser: Optimizer) -> str:
        """Say where the loss stopped being a number."""
        at, rate = self.where(), max(_rates(optimiser).values())
        place = f"phase {at['phase']!r}, epoch {at['epoch']}, step {at['step']}"
        return f"the {what} loss became {loss} in {place}, at a learning rate of {rate:.1e}"

    def result(self, stopped: str) -> Trained:
        """Put the best weights into the network and say how it went."""
        best, lines = self.state.best, self.keeper.history.lines
        if best is None:
            fix = "use a lower learning rate or fp32; where time was up, allow more"
            raise OptionError(NO_GOOD_EPOCH, stopped, fix)
        self.load_weights(self.best)
        self.network.eval()
        accuracy, rmse = best.get("val_accuracy"), best.get("val_rmse")
        logits = self.best["val_logits"].numpy()
        return Trained(best["phase"], best["epoch"], best["val_loss"], accuracy, rmse, logits, lines, stopped)

    def save(self, live: Live | None = None) -> None:
        """Write a checkpoint; without the parts of a phase it is the end of the run."""
        tensors = {f"weights.{name}": tensor for name, tensor in self.weights().items()}
        tensors["rng"] = torch.get_rng_state()
        if live is not None:
            tensors |= {f"optimiser.{k}": v for k, v in optimiser_state(live.optimiser).items()}
            if live.average is not None:
                tensors |= {f"average.{k}": v for k, v in live.average.state().items()}
        best = None if self.state.best is None else f"best-{self.state.best['epoch']:05d}"
        self.keeper.save(tensors, asdict(self.state), best, self.best)
        self.clock.saving = self.keeper.seconds

    def weights(self) -> dict[str, Tensor]:
        """Return the live tensors that the plan changes, by name."""
        state = self.network.state_dict()
        return {name: state[name] for name in self.names}

    def load_weights(self, weights: dict[str, Tensor]) -> None:
        """Copy weights into the network."""
        for name, tensor in self.weights().items():
            tensor.copy_(weights[name])


def _add_l1(optimiser: Optimizer, strength: float) -> None:
    """Add the gradient of the L1 penalty; like weight decay it leaves out norms and biases."""
    weights = [weight for group in optimiser.param_groups for weight in group["params"] if weight.ndim > 1]
    signs = torch._foreach_sign([weight.detach() for weight in weights])
    torch._foreach_add_([weight.grad for weight in weights], signs, alpha=strength)


def _rates(optimiser: Optimizer) -> dict[str, float]:
    return {group["name"]: float(group["lr"]) for group in optimiser.param_groups}


def _below(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): each for name, each in tensors.items() if name.startswith(prefix)}


def _in_words(line: dict[str, Any]) -> str:
    """Return the numbers of an epoch as one reads them."""
    score = f"error {line['val_rmse']:.3g}" if "val_rmse" in line else f"accuracy {line['val_accuracy']:.3f}"
    return f"loss {told(line['train_loss'])}, validation loss {told(line['val_loss'])}, {score}"
