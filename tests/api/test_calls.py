from nexus.api.application import CALLS


def test_no_two_calls_share_a_name_or_a_method_of_a_path() -> None:
    assert len({call.name for call in CALLS}) == len(CALLS)
    assert len({(call.method, call.path) for call in CALLS}) == len(CALLS)


def test_path_parameters_are_declared() -> None:
    for call in CALLS:
        declared = {each.name for each in call.parameters if each.where == "path"}
        assert all("{" + name + "}" in call.path for name in declared)
        assert call.path.count("{") == len(declared)
