from __future__ import annotations

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
    assert tree_of(a_site(*parts)) == tree_of(a_site(*reversed(parts)))
