"""The duty that a node has just now, and what can be asked of it."""

from nexus.config import Config
from nexus.errors import NodeStoppedError, NoMasterError, WrongRoleError
from nexus.model.cluster import Role
from nexus.model.position import EpochHistory
from nexus.node.elections.forming import Forming
from nexus.node.elections.resting import RESTS, Resting
from nexus.node.elections.voting import Voting
from nexus.node.etcd.holding import ETCD_DECIDES, Keyholding
from nexus.node.parts import Parts
from nexus.node.report import DutyReport
from nexus.node.roles.following import Following
from nexus.node.roles.reigning import Reigning
from nexus.node.transactions import TransactionManager

Duty = Reigning | Following | Voting | Forming | Keyholding | Resting


class CurrentDuty:
    """One duty at a time, and the parts that it works with; for the node's loop."""

    def __init__(self, config: Config) -> None:
        self._parts: Parts | None = None
        self.duty: Duty | None = None
        self.failure = ""
        """Why this node cannot go on, or empty."""
        self.stopping = False
        self._role = config.replication.role

    @property
    def parts(self) -> Parts:
        """What the duties work with; raises NodeStoppedError while it is not open."""
        if self._parts is None:
            raise NodeStoppedError("this node is not running; start it first")
        return self._parts

    @property
    def is_open(self) -> bool:
        """Whether there is something to work with."""
        return self._parts is not None

    def use(self, parts: Parts | None) -> None:
        """From now on the duties work with these; None: they are closed."""
        self._parts = parts

    @property
    def acting(self) -> Reigning | Following | Forming | Resting | None:
        """The master's or replica's part that this node has just now."""
        if isinstance(self.duty, Voting | Keyholding):
            return self.duty.reigning or self.duty.following
        return self.duty

    @property
    def role(self) -> Role:
        """As the status tells it."""
        if isinstance(self.duty, Voting | Keyholding):
            return self.duty.role
        if isinstance(self.duty, Forming | Resting) and self._role is not Role.WITNESS:
            return Role.REPLICA
        return self._role

    @property
    def history(self) -> EpochHistory:
        """Every reign of this node's log."""
        return self.duty.history if self.duty else EpochHistory()

    @property
    def trouble(self) -> str:
        """Why this node cannot serve just now, or empty."""
        if self.stopping:
            return self.failure or "this node is stopping"
        return self.failure or ("" if self.duty else "this node has no role just now")

    def report(self) -> DutyReport:
        """How the duty fares."""
        return self.duty.report() if self.duty else DutyReport()

    def writer(self) -> TransactionManager:
        """The manager of writes; raises why there is none here."""
        acting = self.acting
        if isinstance(acting, Reigning):
            return acting.manager
        if acting is not None:
            raise acting.write_refusal()
        if isinstance(self.duty, Keyholding):
            raise self.duty.write_refusal()
        raise NoMasterError(f"nothing happened: {self.trouble}; try again soon")

    def reigning(self, why: str = "this node is no master") -> Reigning:
        """This node's reign; raises WrongRoleError naming who has one."""
        acting = self.acting
        if isinstance(acting, Reigning):
            return acting
        url = acting.master_url if isinstance(acting, Following) else ""
        raise WrongRoleError(f"{why}; ask the master{f' at {url}' if url else ''}")

    def voting(self) -> Voting:
        """This node as one of a cluster with voters; raises WrongRoleError."""
        if isinstance(self.duty, Voting):
            return self.duty
        if isinstance(self.duty, Resting):
            raise WrongRoleError(RESTS)
        raise WrongRoleError(
            "this node's cluster has no voters: it was not formed with "
            "replication.peers, so an operator promotes"
        )

    def require_no_voter(self) -> None:
        """Raise WrongRoleError on a voter: what it wrote alone would be taken back."""
        if isinstance(self.duty, Keyholding):
            raise WrongRoleError(ETCD_DECIDES)
        if isinstance(self.duty, Resting) or self.votes:
            raise WrongRoleError(
                "this node is a voter of its cluster, which elects: remove it first, "
                f"DELETE /cluster/members/{self.parts.state.node_id} on the master"
            )

    @property
    def votes(self) -> bool:
        """Whether the log names this node as a voter, and it takes part."""
        duty, own = self.duty, self.parts.state.node_id
        return isinstance(duty, Voting) and own in dict(duty.voters)
