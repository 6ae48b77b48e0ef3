"""All methods that an adaptation may choose from."""

from __future__ import annotations

from headstart.transfer.domains.boosting import TrAdaBoost
from headstart.transfer.domains.coral import Coral
from headstart.transfer.domains.dann import Dann
from headstart.transfer.domains.domains import Method
from headstart.transfer.domains.kliep import Kliep
from headstart.transfer.domains.kmm import Kmm
from headstart.transfer.domains.mcc import Mcc
from headstart.transfer.domains.self_training import SelfTraining
from headstart.transfer.domains.source_only import SourceOnly
from headstart.transfer.domains.statistics import OwnStatistics
from headstart.transfer.domains.subspace import SubspaceAlignment
from headstart.transfer.domains.weights import ImportanceWeights

METHODS: tuple[Method, ...] = (
    SourceOnly(),
    OwnStatistics(),
    Coral(),
    SubspaceAlignment(),
    ImportanceWeights(),
    Kliep(),
    Kmm(),
    SelfTraining(),
    SelfTraining(own=True),
    Mcc(),
    Dann(),
    TrAdaBoost(),
)
"""From the simplest on: where two are as good, the one that is named first is chosen."""

DEFAULT: tuple[Method, ...] = tuple(each for each in METHODS if not isinstance(each, Mcc | Dann))
"""What is tried where nobody names methods. MCC and DANN are trained for sure or smooth answers: they looked
best without labels on edge maps where they were right about 48 and 50 % of dogs and cats."""
ON_NORMS = frozenset({"own statistics", "CORAL", "self-training", "own statistics + self-training"})
"""Names of the methods that are also tried on features that a network makes with its own batch statistics of
each domain: those that take a moment."""
