import msgspec

from nexus import errors
from nexus.api import refusals
from nexus.api.problems import problem_of, problem_response, unexpected


def test_an_error_unknown_to_the_table_is_told_as_the_one_above_it() -> None:
    class NewerError(errors.ConstraintError):
        code = "newer"

    problem = problem_of(NewerError("detail", index=2))

    assert (problem.status, problem.code, problem.index) == (409, "newer", 2)


def test_what_an_error_knows_is_told_and_nothing_else() -> None:
    unknown = msgspec.to_builtins(
        problem_of(errors.OutcomeUnknownError("detail", offset=9))
    )
    wrong_role = problem_of(errors.WrongRoleError("x"), master_url="http://m")
    read_only = problem_of(errors.ReadOnlyReplicaError("x", master_url="http://m"))

    assert unknown["offset"] == 9
    assert not {"index", "master_url"} & set(unknown)
    assert wrong_role.master_url == read_only.master_url == "http://m"


def test_headers_of_an_error_are_sent_with_it() -> None:
    allowed = problem_response(refusals.MethodNotAllowedError("x", allowed="GET"))
    unauthorised = problem_response(refusals.UnauthorisedError("x"))
    beyond = problem_response(refusals.RangeError("x", size=9))

    assert allowed.headers["Allow"] == "GET"
    assert unauthorised.headers["WWW-Authenticate"].startswith("Bearer")
    assert beyond.headers["Content-Range"] == "bytes */9"


def test_a_bug_is_told_without_its_innards() -> None:
    assert problem_response(unexpected()).status_code == 500
