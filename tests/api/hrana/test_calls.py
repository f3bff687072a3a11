from nexus.api.hrana.calls import CALLS
from nexus.api.hrana.results import HranaError


def test_every_call_tells_its_errors_as_libsqls_clients_read_them() -> None:
    assert {call.failure for call in CALLS} == {HranaError}
    assert {call.path.split("/")[1] for call in CALLS} == {"v1", "v2", "v3"}
