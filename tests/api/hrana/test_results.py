import msgspec

from nexus.api.hrana.results import (
    CloseResponse,
    ErrorResult,
    HranaError,
    OkResult,
    PipelineAnswer,
)


def test_an_answer_is_written_as_the_specification_has_it() -> None:
    done, not_done = OkResult(CloseResponse()), ErrorResult(HranaError("no", "NO"))
    answer = PipelineAnswer(None, None, [done, not_done])

    assert msgspec.to_builtins(answer) == {
        "baton": None,
        "base_url": None,
        "results": [
            {"type": "ok", "response": {"type": "close"}},
            {"type": "error", "error": {"message": "no", "code": "NO"}},
        ],
    }
