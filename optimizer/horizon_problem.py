"""What the horizon planner is asked: who may take how much charge in which slot, and its worth.

The same nodes, phases and amperes as in `optimizer.problem`, over slots of time. Amounts are charge
per conductor [Ah], not current: then the length of a slot stands in bounds only, and the model of a
site never changes its matrix while time goes on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy
import numpy.typing

from optimizer.phases import PhaseSet

FloatArray = numpy.typing.NDArray[numpy.float64]


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonNode:
    """A set of conductors, with what it leaves for charging over time."""

    id: str
    parent: str | None
    available_ah: FloatArray
    """Per phase and slot, never below 0. Shape (3, n_slots). [Ah]"""
    total_ah: FloatArray | None = None
    """All phases together, for demand limits and signals on the total. Shape (n_slots,). [Ah]"""
    excess_cost: FloatArray | None = None
    """Price of going over `total_ah`; None: it is never exceeded. Shape (n_slots,). [1/Ah]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonLoad:
    """A place where a vehicle may charge; one without a vehicle has a `need_ah` of 0."""

    id: str
    node: str
    phases: PhaseSet
    ceiling_ah: FloatArray
    """The most per conductor in each slot; 0 outside its stay. Shape (n_slots,). [Ah]"""
    need_ah: float
    """The most per conductor over the whole horizon. [Ah]"""
    worth: FloatArray
    """Value of charge in each slot, less its price. Shape (n_slots,). [1/Ah]"""
    first_ah: float = 0.0
    """The first part of the need, which is worth more: nobody shall leave with nothing. [Ah]"""
    first_worth_per_ah: float = 0.0
    """Extra value of the first part. [1/Ah]"""
    held_ah: float = 0.0
    """What the current limit would give in the first slot. [Ah]"""
    change_cost_per_ah: float = 0.0
    """Price of giving more or less than `held_ah` in the first slot. [1/Ah]"""


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonProblem:
    """One planning run. Nodes form trees, loads hang on nodes; all arrays have `n_slots` entries."""

    n_slots: int
    nodes: tuple[HorizonNode, ...]
    loads: tuple[HorizonLoad, ...]

    def __post_init__(self) -> None:
        """Check the whole problem.

        Raises:
            ValueError: With every defect found.
        """
        defects = [*self._node_defects(), *self._load_defects()]
        if defects:
            raise ValueError("; ".join(defects))

    def _node_defects(self) -> list[str]:
        ids = {node.id for node in self.nodes}
        defects = [] if len(ids) == len(self.nodes) else ["two nodes have the same id"]
        for node in self.nodes:
            arrays = [node.available_ah, node.total_ah, node.excess_cost]
            if not all(_is_amount(x) for x in arrays if x is not None):
                defects.append(f"node {node.id}: a value is negative or not a finite number")
            if node.available_ah.shape != (3, self.n_slots):
                defects.append(f"node {node.id}: available_ah has the wrong shape")
            if any(x is not None and x.shape != (self.n_slots,) for x in arrays[1:]):
                defects.append(f"node {node.id}: total_ah or excess_cost has the wrong shape")
            if node.parent is not None and node.parent not in ids:
                defects.append(f"node {node.id}: parent {node.parent} does not exist")
        return defects

    def _load_defects(self) -> list[str]:
        ids = {node.id for node in self.nodes}
        defects = []
        if len({load.id for load in self.loads}) != len(self.loads):
            defects.append("two loads have the same id")
        for load in self.loads:
            single = (
                load.need_ah,
                load.first_ah,
                load.first_worth_per_ah,
                load.held_ah,
                load.change_cost_per_ah,
            )
            if load.node not in ids:
                defects.append(f"load {load.id}: node {load.node} does not exist")
            if not load.phases:
                defects.append(f"load {load.id}: it uses no phase")
            if load.ceiling_ah.shape != (self.n_slots,) or load.worth.shape != (self.n_slots,):
                defects.append(f"load {load.id}: ceiling_ah or worth has the wrong shape")
            if not (_is_amount(load.ceiling_ah) and _is_amount(numpy.array(single))):
                defects.append(f"load {load.id}: a value is negative or not a finite number")
            if not numpy.isfinite(load.worth).all():
                defects.append(f"load {load.id}: a worth is not a finite number")
        return defects


@dataclass(frozen=True, slots=True, kw_only=True)
class HorizonPlan:
    """The best use of the horizon."""

    charge_ah: Mapping[str, FloatArray]
    """Per load and slot, per conductor. Shape (n_slots,). [Ah]"""
    price: Mapping[str, FloatArray]
    """Per node what one more Ah is worth, by phase and slot; above 0 where it is full. Shape (3, n_slots)."""
    excess_ah: Mapping[str, FloatArray]
    """Per node what goes over `total_ah`. Shape (n_slots,). [Ah]"""
    value: float
    """Value of the objective."""


def _is_amount(values: FloatArray) -> bool:
    return bool(numpy.isfinite(values).all() and (values >= 0).all())
