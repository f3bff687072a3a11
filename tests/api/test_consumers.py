import pytest

from nexus.api.consumers import Consumers
from nexus.api.refusals import TooManyConsumersError


async def test_so_many_may_read_and_one_more_when_one_leaves() -> None:
    consumers = Consumers(most=2)
    consumers.enter()
    consumers.enter()

    with pytest.raises(TooManyConsumersError, match="2 consumers"):
        consumers.enter()
    consumers.leave()
    consumers.enter()

    assert consumers.count == 2
