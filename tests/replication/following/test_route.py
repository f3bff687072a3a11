from nexus.replication.effects import Connect
from nexus.replication.following.route import Route, addresses_but
from nexus.replication.timing.backoff import Backoff


def route(*addresses: str) -> Route:
    return Route(addresses, Backoff(first_ms=1, most_ms=8, random=lambda: 0.0))


def test_the_addresses_are_tried_in_turn_and_ever_later() -> None:
    one = route("a", "b")

    assert one.now() == Connect("a", 0)
    assert one.after_failure() == Connect("b", 1)
    assert one.after_failure() == Connect("a", 2)


def test_a_success_keeps_the_address_and_shortens_the_wait() -> None:
    one = route("a", "b")
    one.after_failure()

    one.succeeded()

    assert one.now() == Connect("b", 0)
    assert one.after_failure() == Connect("a", 1)


def test_a_master_that_was_named_comes_first_and_the_list_after_it() -> None:
    one = route("a", "b")

    assert one.to("c", at_once=True) == Connect("c", 0)
    assert one.after_failure() == Connect("a", 1)


def test_two_nodes_that_name_each_other_are_not_asked_without_a_pause() -> None:
    one = route("a")

    assert one.to("b", at_once=False) == Connect("b", 1)
    assert one.to("a", at_once=False) == Connect("a", 2)


def test_the_first_address_is_tried_again_before_others() -> None:
    one = Route(("a", "b"), Backoff(first_ms=1, most_ms=8, random=lambda: 0.0), 3)

    tried = [one.after_failure().address for _ in range(4)]

    assert tried == ["a", "a", "b", "a"]
    one.succeeded()
    assert one.after_failure().address == "a"


def test_the_first_address_is_tried_again_after_a_return_to_it_too() -> None:
    one = Route(("a", "b"), Backoff(first_ms=1, most_ms=8, random=lambda: 0.0), 2)
    while one.after_failure().address == "a":
        pass
    one.succeeded()
    one.to("a", at_once=True)
    one.succeeded()

    assert [one.after_failure().address for _ in range(2)] == ["a", "b"]


def test_where_the_upstream_finds_its_own_is_tried_last() -> None:
    one = route("a", "b")
    one.learn("")
    one.learn("b")
    one.learn("m")

    assert [one.after_failure().address for _ in range(3)] == ["b", "m", "a"]
    one.after_failure()
    one.after_failure()
    one.learn("n")
    assert one.after_failure().address == "n"


def test_everybody_else_is_asked_once_in_order_and_not_this_node_itself() -> None:
    assert addresses_but("a", ("b", "a", "c", "b")) == ("b", "c")
    assert addresses_but("a", ("b",)) == ("b",)


def test_a_node_that_is_alone_asks_at_its_own_door() -> None:
    assert addresses_but("a", ("a",)) == ("a",)
    assert addresses_but("a", ()) == ("a",)
