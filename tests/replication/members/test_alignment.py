"""A named database comes to have the main one's voters, mode of failover and master."""

from collections.abc import Sequence

import pytest

from nexus.model.cluster import MembersView, MemberView, NodeId
from nexus.replication.members.alignment import (
    AddVoter,
    HandOver,
    RemoveVoter,
    SetAutoFailover,
    Step,
    next_keyed_step,
    next_step,
)

A, B, C = NodeId("a"), NodeId("b"), NodeId("c")


def members(
    voters: str, learners: str = "", *, gone: str = "", automatic: bool = True
) -> MembersView:
    """Members of one letter each; those that are `gone` are not connected."""
    views = tuple(
        MemberView(one, f"{one}:1", one in voters, one not in gone)
        for one in voters + learners
    )
    return MembersView("k", 1, automatic, views)


MAIN = members("abc")


@pytest.mark.parametrize(
    ("named", "master", "step"),
    [
        (members("abc"), A, None),
        (members("abc"), "", None),
        (members("abc"), B, HandOver(B)),
        (members("abc", gone="b"), B, None),
        (members("ac"), B, None),
        (members("ac", "b"), B, AddVoter(B, "b:1")),
        (members("ac", "b", gone="b"), B, None),
        (members("a", "bc"), A, AddVoter(B, "b:1")),
        (members("abcd"), A, RemoveVoter(NodeId("d"))),
        (members("abcd"), B, RemoveVoter(NodeId("d"))),
        (members("abc", automatic=False), A, SetAutoFailover(enabled=True)),
    ],
)
def test_the_next_step_is_the_first_thing_that_differs(
    named: MembersView, master: str, step: Step | None
) -> None:
    assert next_step(A, NodeId(master), MAIN, named) == step


def test_who_votes_no_more_in_the_main_database_gives_its_own_reign_up_first() -> None:
    steps = [
        next_step(A, B, members("bc"), members("abc")),
        next_step(B, B, members("bc"), members("abc")),
    ]

    assert steps == [HandOver(B), RemoveVoter(A)]


def test_maintenance_goes_for_the_named_databases_too() -> None:
    step = next_step(A, A, members("abc", automatic=False), members("abc"))

    assert step == SetAutoFailover(enabled=False)


@pytest.mark.parametrize("begins", ["a", "ab", "abd", "acd", "abcd"])
def test_step_by_step_every_configuration_becomes_the_main_ones(begins: str) -> None:
    named = members(begins, "".join(set("abc") - set(begins)))
    taken: list[Step] = []

    while (step := next_step(A, B, MAIN, named)) is not None:
        taken.append(step)
        named = after(named, step)
        if isinstance(step, HandOver):
            break

    assert {one.id for one in named.members if one.voter} == set("abc")
    assert taken[-1] == HandOver(B)
    assert len(taken) <= 4


def after(named: MembersView, step: Step) -> MembersView:
    """The members once the step is done."""
    voters = {one.id for one in named.members if one.voter}
    everybody: Sequence[str] = [one.id for one in named.members]
    if isinstance(step, AddVoter):
        voters.add(step.node_id)
    elif isinstance(step, RemoveVoter):
        voters.discard(step.node_id)
    return members("".join(sorted(voters)), "".join(sorted(set(everybody) - voters)))


@pytest.mark.parametrize(
    ("master", "rests", "step"),
    [
        (A, (False, False), None),
        ("", (False, False), None),
        (B, (False, False), HandOver(B)),
        (C, (False, False), None),
        (B, (True, True), None),
        (B, (True, False), SetAutoFailover(enabled=False)),
        (A, (False, True), SetAutoFailover(enabled=True)),
    ],
)
def test_under_etcd_the_reign_goes_to_a_listed_node_unless_it_rests(
    master: NodeId, rests: tuple[bool, bool], step: Step | None
) -> None:
    main_rests, named_rests = rests

    found = next_keyed_step(
        A, master, {A, B}, main_rests=main_rests, named_rests=named_rests
    )

    assert found == step
