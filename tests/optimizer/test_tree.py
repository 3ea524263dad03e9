from __future__ import annotations

from dataclasses import replace

from optimizer.phases import PhaseCurrents
from optimizer.problem import Budget
from optimizer.tree import Row, tree_of
from tests.optimizer.sites import L1, L2, L3, a_car, a_node, a_site


def test_a_car_counts_on_its_phases_at_every_node_up_to_the_root() -> None:
    tree = tree_of(
        a_site(
            a_node("main", a=63),
            a_node("garage-a", parent="main", a=32),
            a_car("cp1/1", node="garage-a", phases=(L3, L1)),
        )
    )
    assert [
        Row(node="garage-a", phase=L1),
        Row(node="garage-a", phase=L3),
        Row(node="main", phase=L1),
        Row(node="main", phase=L3),
    ] == [tree.rows[row] for row in tree.rows_of[0]]


def test_rows_that_carry_no_load_are_left_out() -> None:
    tree = tree_of(a_site(a_node("main", a=63), a_node("spare", a=5), a_car("a", phases=(L2,))))
    assert (Row(node="main", phase=L2),) == tree.rows


def test_the_order_of_nodes_and_loads_does_not_matter() -> None:
    parts = (a_node("b", a=9), a_node("a", a=8), a_car("y", node="a"), a_car("x", node="b"))
    one, other = tree_of(a_site(*parts)), tree_of(a_site(*reversed(parts)))
    assert (one.loads, one.rows, one.rows_of) == (other.loads, other.rows, other.rows_of)
    assert one.available_a.tolist() == other.available_a.tolist()


def test_a_layout_is_kept_while_only_numbers_change() -> None:
    before = tree_of(a_site(a_node(a=9), a_car("a", max_a=16)))
    after = tree_of(a_site(a_node(a=20), a_car("a", max_a=32, weight=2)), before.layout)
    assert after.layout is before.layout
    assert (after.max_a.tolist(), after.available_a.tolist()) == ([32.0], [20.0] * 3)


def test_another_wiring_is_another_layout() -> None:
    before = tree_of(a_site(a_node(a=9), a_car("a")))
    after = tree_of(a_site(a_node(a=9), a_car("a", phases=(L2,))), before.layout)
    assert (Row(node="main", phase=L2),) == after.rows


def test_an_unbalance_limit_compares_each_pair_of_phases_that_a_load_tells_apart() -> None:
    node = replace(a_node(a=63), unbalance_a=20.0, flowing=PhaseCurrents(l1_a=5, l2_a=0, l3_a=30))
    tree = tree_of(a_site(node, a_car("one", phases=(L1,)), a_car("three")))
    left_a = {row.name: tree.available_a[i] for i, row in enumerate(tree.rows)}
    expected = {"main,L1": 63, "main,L2": 63, "main,L3": 63, "main,L1-L2": 15, "main,L1-L3": 45}
    assert expected == left_a


def test_a_budget_counts_every_phase() -> None:
    problem = a_site(a_node(a=63), a_car("one", phases=(L1,)), a_car("three"))
    budget = Budget(id="surplus", available_a=30, loads=frozenset({"one", "three"}))
    layout = tree_of(replace(problem, budgets=(budget,))).layout
    assert [entries[-1] for entries in layout.entries_of] == [(3, 1.0), (3, 3.0)]
