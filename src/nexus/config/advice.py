"""What a configuration may say and had better not, told when a node starts."""

from collections.abc import Iterator
from typing import Final

from nexus.config.settings import Config
from nexus.model.cluster import Mode

WORTH_TELLING_MS: Final = 60_000
"""What is written in less than a minute fills no disk."""


def advice(config: Config) -> Iterator[str]:
    """A sentence for each setting that can cost more than it seems to."""
    replication = config.replication
    quorum, voters = replication.sync_quorum, len(replication.peers)
    majority = voters // 2 + 1
    if voters and voters % 2 == 0:
        yield f"replication.peers: {of_even_voters(voters)}"
    if replication.apply_delay_ms >= WORTH_TELLING_MS:
        yield (
            f"replication.apply_delay_ms = {replication.apply_delay_ms}: the log keeps "
            "all that was written within that time, however much it is, and nothing "
            "else bounds it: the disk must have room for that"
        )
    if replication.mode is not Mode.SYNC or quorum is None:
        return
    if voters and quorum < majority:
        yield (
            f"UNSAFE: replication.sync_quorum = {quorum} is below a majority of the "
            f"{voters} voters ({majority}): an acknowledged write may be on nodes that "
            "an election does without, and is lost then; leave it out"
        )
    elif quorum == 1:
        yield (
            "UNSAFE: replication.sync_quorum = 1 acknowledges what this node alone "
            "holds: if it is lost, acknowledged writes are lost; set it to 2 or more"
        )


def of_even_voters(count: int) -> str:
    """What to tell of so many voters, an even number."""
    return (
        f"{count} voters survive no more failures than {count - 1} do: add one, a "
        "witness is enough"
    )
