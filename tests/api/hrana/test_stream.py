from api.fake_stream import FakeStream
from nexus.api.hrana.messages import Batch, BatchStep, CloseRequest, Stmt
from nexus.api.hrana.results import CloseResponse, ErrorResult, OkResult
from nexus.api.hrana.stream import Stream
from nexus.api.hrana.texts import Shelf, Texts


async def test_what_comes_after_the_close_is_refused() -> None:
    stream = Stream(FakeStream(), Texts(Shelf()))
    assert await stream.carry_out(CloseRequest()) == OkResult(CloseResponse())
    late = await stream.carry_out(CloseRequest())

    assert isinstance(late, ErrorResult)
    assert late.error.code == "STREAM_CLOSED"


async def test_rows_that_are_not_wanted_are_not_told() -> None:
    stream = Stream(FakeStream(), Texts(Shelf()))
    quiet, loud = Stmt("x", want_rows=False), Stmt("x")
    assert (await stream.execute(quiet)).rows == []
    batch = await stream.batch(Batch([BatchStep(quiet), BatchStep(loud)]))

    told = [result and len(result.rows) for result in batch.step_results]
    assert told == [0, 1]
