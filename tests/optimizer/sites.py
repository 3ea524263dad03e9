"""Builders with sane defaults, and random sites for the properties."""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st

from optimizer.admission import Admission, admit
from optimizer.phases import Phase, PhaseCurrents, PhaseSet
from optimizer.problem import Load, Node, Problem
from optimizer.tree import tree_of

L1, L2, L3 = Phase.L1, Phase.L2, Phase.L3
ALL: PhaseSet = (L1, L2, L3)

MANY = settings(max_examples=400, derandomize=True, deadline=None, database=None)


def a_node(id: str = "main", *, parent: str | None = None, a: float | tuple[float, ...]) -> Node:
    values = (a, a, a) if isinstance(a, (int, float)) else a
    return Node(
        id=id,
        parent=parent,
        available=PhaseCurrents(l1_a=values[0], l2_a=values[1], l3_a=values[2]),
    )


def a_car(
    id: str,
    *,
    node: str = "main",
    phases: PhaseSet = ALL,
    min_a: float = 6.0,
    max_a: float = 32.0,
    step_a: float = 0.1,
    weight: float = 1.0,
    rank: int = 0,
    current_a: float = 0.0,
) -> Load:
    return Load(
        id=id,
        node=node,
        phases=phases,
        min_a=min_a,
        max_a=max_a,
        step_a=step_a,
        weight=weight,
        rank=rank,
        current_a=current_a,
    )


def a_site(*parts: Node | Load) -> Problem:
    return Problem(
        nodes=tuple(x for x in parts if isinstance(x, Node)),
        loads=tuple(x for x in parts if isinstance(x, Load)),
    )


def posed(problem: Problem) -> Admission:
    return admit(tree_of(problem))


_TENTHS = st.integers(-100, 1500).map(lambda n: n / 10)
_AMPERES = st.one_of(_TENTHS, st.floats(-5, 150, allow_nan=False).map(lambda x: round(x, 4)))
_PHASES = st.sampled_from([ALL, ALL, (L1,), (L2,), (L3,), (L2, L3), (L3, L1), (L2, L3, L1)])


@st.composite
def sites(draw: st.DrawFn, *, max_loads: int = 10) -> Problem:
    """Trees of up to 6 nodes in any shape, also two trees; chargers of mixed kinds."""
    nodes: list[Node] = []
    for i in range(draw(st.integers(1, 6))):
        parent = None if i == 0 else draw(st.sampled_from([*(x.id for x in nodes), None]))
        available = tuple(draw(_AMPERES) for _ in range(3))
        nodes.append(a_node(f"n{i}", parent=parent, a=available))
    loads: list[Load] = []
    for i in range(draw(st.integers(0, max_loads))):
        max_a = draw(st.sampled_from([0.0, 6.0, 10.0, 13.7, 16.0, 32.0, 32.0, 80.0]))
        loads.append(
            a_car(
                f"cp{i}/1",
                node=draw(st.sampled_from([x.id for x in nodes])),
                phases=draw(_PHASES),
                min_a=min(max_a, draw(st.sampled_from([0.0, 6.0, 6.0, 6.0, 8.05]))),
                max_a=max_a,
                step_a=draw(st.sampled_from([0.1, 0.1, 0.1, 1.0, 0.5])),
                weight=draw(st.sampled_from([1.0, 1.0, 2.0, 0.3])),
                rank=draw(st.integers(0, 2)),
                current_a=draw(st.sampled_from([0.0, 6.0, 16.0])),
            )
        )
    return Problem(nodes=tuple(nodes), loads=tuple(draw(st.permutations(loads))))
