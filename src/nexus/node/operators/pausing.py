"""What operators hold up, and let go on: a replica's apply, a master's streams."""

from nexus.errors import WrongRoleError
from nexus.model.position import Offset
from nexus.node.duty import CurrentDuty
from nexus.node.roles.following import Following
from nexus.node.roles.holding import apply_until


def pause(duties: CurrentDuty, replica: str | None) -> None:
    """A replica applies no more; a master streams no more, to one or to all."""
    acting = duties.acting
    if isinstance(acting, Following) and replica in {None, duties.parts.state.node_id}:
        _require_database(duties)
        acting.pause()
    else:
        duties.reigning("another's stream is the master's").pause(replica)


def resume(duties: CurrentDuty, replica: str | None, *, at_once: bool) -> None:
    """Undo `pause`; `at_once`: and apply now what a delay holds back."""
    acting = duties.acting
    if isinstance(acting, Following) and replica in {None, duties.parts.state.node_id}:
        _require_database(duties)
        acting.resume(at_once=at_once)
    else:
        duties.reigning("another's stream is the master's").resume(replica)


async def apply_chosen(
    duties: CurrentDuty, last: Offset | None, before_us: int | None
) -> None:
    """Apply up to that entry, or what was written before that time; then pause."""
    acting = duties.acting
    if not isinstance(acting, Following):
        raise WrongRoleError("a master has applied all; ask a delayed replica")
    _require_database(duties)
    await apply_until(acting, last, before_us)


def _require_database(duties: CurrentDuty) -> None:
    if duties.parts.is_witness:
        raise WrongRoleError(
            "this node is a witness: it has no database, and applies nothing; ask one "
            "of the nodes that have"
        )
