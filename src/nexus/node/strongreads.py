"""How far a node must be to answer a strong read."""

from nexus.errors import NoMasterError, RequestError
from nexus.model.cluster import Role
from nexus.model.position import Offset
from nexus.node.duty import CurrentDuty
from nexus.node.elections.forming import Forming
from nexus.node.elections.resting import Resting
from nexus.node.elections.voting import Voting
from nexus.node.roles.following import Following


async def read_offset(duties: CurrentDuty) -> Offset:
    """What a strong read that begins now must see; raises why it is not known."""
    duty, acting = duties.duty, duties.acting
    if isinstance(duty, Voting) and duty.reigning is not None:
        return await duty.read_offset()
    if isinstance(acting, Following | Forming | Resting):
        raise acting.write_refusal()  # its master answers it
    if acting is None:
        raise NoMasterError(f"nothing was read: {duties.trouble}; try again soon")
    if duties.role is Role.STANDALONE:
        return duties.parts.database.position.offset
    raise RequestError(
        "a strong read needs voters, whose majority confirms that this node still "
        "reigns; this cluster has none (replication.peers): read here with 'local'"
    )
