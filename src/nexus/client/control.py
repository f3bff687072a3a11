"""Where a connection's statements run, and when its transactions begin and end."""

from collections.abc import Sequence
from enum import Enum, auto
from typing import Final

from nexus.client.exceptions import (
    IntegrityError,
    OperationalError,
    translated,
)
from nexus.client.parameters import Plan
from nexus.client.session import Holding, Result, Session, Statement
from nexus.errors import NexusError
from nexus.model.pragmas import ON, PragmaUse, read_pragma, setting_of
from nexus.model.statements import (
    StatementKind,
    identifiers,
    savepoint_name,
)


class State(Enum):
    """Where a connection's transaction stands."""

    NONE = auto()
    WANTED = auto()
    """Begun as the client sees it: its queries read one state of the database. The
    session's begins with the first change, so that readers hold nobody up."""
    TAKEN = auto()


_ALONE: Final = (StatementKind.LOCAL, StatementKind.VACUUM)

_ENDS: Final = (StatementKind.BEGIN, StatementKind.COMMIT, StatementKind.ROLLBACK)

_STEPS: Final = {
    *_ENDS,
    StatementKind.SAVEPOINT,
    StatementKind.RELEASE,
    StatementKind.ROLLBACK_TO,
    StatementKind.PRAGMA,
    *_ALONE,
}
"""What a script cannot hold if it is to be one transaction."""


class Control:
    """One connection's transaction, and what it has changed so far."""

    def __init__(self, session: Session) -> None:
        self.session = session
        self.total_changes = 0
        self.last_insert_rowid = 0
        self._state = State.NONE
        self._holds = False
        """Whether the session holds a state for this transaction's queries."""
        self._savepoints: list[str] = []
        """Where a SAVEPOINT began the transaction: all that are open, outermost first;
        releasing the first one commits."""

    @property
    def is_idle(self) -> bool:
        """Whether no transaction is open, nor one that has ended unseen."""
        return self._state is State.NONE

    @property
    def in_transaction(self) -> bool:
        """Whether the client has a transaction open."""
        if self._state is State.TAKEN:
            return self.session.in_transaction
        return self._state is State.WANTED

    def begin(self) -> None:
        """Begin, if none is open."""
        if self._state is State.NONE:
            self._state = State.WANTED

    def commit(self) -> None:
        """Commit what is open; durable on return."""
        if self._leave() is State.TAKEN:
            self.session.commit()

    def rollback(self) -> None:
        """Take back what is open."""
        if self._leave() is State.TAKEN:
            self.session.rollback()

    def run(self, plan: Plan, statement: Statement) -> Result:
        """Run one statement where it belongs; raises NexusError."""
        kind = plan.kind
        if kind in _ENDS:
            self._run_control(plan)
            return Result()
        if kind in (StatementKind.SAVEPOINT, StatementKind.RELEASE):
            return self._run_savepoint(plan, statement)
        if kind is StatementKind.PRAGMA:
            return self._run_pragma(plan, statement)
        if kind is StatementKind.EMPTY:
            return Result()
        return self._run_one(plan, statement)

    def run_changing(self, plan: Plan, statement: Statement) -> Result:
        """Run a statement that begins a transaction unless one is open.

        If it cannot run it has begun none; one whose rows break a constraint has, as
        with sqlite3.
        """
        begins = self._state is State.NONE
        self.begin()
        try:
            return self.run(plan, statement)
        except NexusError as error:
            if begins and not isinstance(translated(error), IntegrityError):
                self.rollback()
            raise

    def run_script(self, plans: Sequence[Plan]) -> None:
        """Run all of them; what needs no steps of its own as one transaction."""
        kinds = {plan.kind for plan in plans}
        if self._state is not State.NONE or kinds & _STEPS:
            for plan in plans:
                self.run(plan, Statement(plan.sql))
        elif plans:
            results = self.session.run([Statement(plan.sql) for plan in plans])
            for plan, result in zip(plans, results, strict=True):
                self._count(plan, result)

    def _run_one(self, plan: Plan, statement: Statement) -> Result:
        kind = plan.kind
        if kind is StatementKind.VACUUM and self._state is not State.NONE:
            raise OperationalError("cannot VACUUM from within a transaction")
        if kind is StatementKind.ROLLBACK_TO and self._state is State.NONE:
            raise OperationalError(
                f"no such savepoint: {savepoint_name(statement.sql)}"
            )
        if kind is StatementKind.READ and self._reads_only():
            return self.session.read(statement)
        if self._state is not State.NONE:
            return self._run_inside(plan, statement)
        if kind in _ALONE:
            return self.session.run_alone(statement)
        result = self.session.run([statement])[0]
        self._count(plan, result)
        return result

    def _run_inside(self, plan: Plan, statement: Statement) -> Result:
        if self._state is State.WANTED:
            self._take()
        try:
            result = self.session.run_inside(statement)
        finally:
            # Only now: had it ended unseen, what follows would be done without what
            # came before.
            if not self.session.in_transaction:
                self._leave()
        self._count(plan, result)
        return result

    def _run_savepoint(self, plan: Plan, statement: Statement) -> Result:
        name = savepoint_name(statement.sql)
        if plan.kind is StatementKind.SAVEPOINT:
            began = self._state is State.NONE
            self.begin()
            try:
                result = self._run_inside(plan, statement)
            except NexusError:
                if began:
                    self.rollback()
                raise
            if began or self._savepoints:
                self._savepoints.append(name)
            return result
        if self._state is State.NONE:
            raise OperationalError(f"no such savepoint: {name}")
        if name in self._savepoints:
            last = len(self._savepoints) - 1 - self._savepoints[::-1].index(name)
            if last == 0:
                self.commit()
                return Result()
            del self._savepoints[last:]
        return self._run_inside(plan, statement)

    def _run_pragma(self, plan: Plan, statement: Statement) -> Result:
        """`PRAGMA foreign_keys` is this connection's; the rest is the node's."""
        name, value = setting_of(statement.sql)
        if name == "foreign_keys":
            if not value:
                told = (int(self.session.foreign_keys),)
                return Result(("foreign_keys",), iter([told]), decltypes=(None,))
            if self._state is State.NONE:  # in a transaction it does nothing
                self.session.foreign_keys = value in ON
            return Result()
        if read_pragma(statement.sql).use is PragmaUse.READ and self._reads_only():
            return self.session.read(statement)
        if self._state is not State.NONE:
            return self._run_inside(plan, statement)
        return self.session.run_alone(statement)

    def _run_control(self, plan: Plan) -> None:
        """BEGIN, COMMIT or ROLLBACK as a statement."""
        kind = plan.kind
        if kind is StatementKind.BEGIN:
            if self.in_transaction:
                raise OperationalError(
                    "cannot start a transaction within a transaction"
                )
            self._leave()
            if _is_at_once(plan.sql):
                self._take()
            else:
                self.begin()
        elif self._state is State.NONE:
            raise OperationalError(
                f"cannot {kind.name.lower()} - no transaction is active"
            )
        elif kind is StatementKind.COMMIT:
            self.commit()
        else:
            self.rollback()

    def _reads_only(self) -> bool:
        """Whether a query is for a reader: nothing was begun, or only read so far."""
        if self._state is State.WANTED and isinstance(self.session, Holding):
            if not self._holds:
                self.session.hold()
                self._holds = True
            return True
        return self._state is State.NONE

    def _take(self) -> None:
        """Have the writer from now on."""
        self.session.begin()
        self._state, self._holds = State.TAKEN, False

    def _leave(self) -> State:
        if self._holds and isinstance(self.session, Holding):
            self._holds = False
            self.session.let_go()
        state, self._state = self._state, State.NONE
        self._savepoints.clear()
        return state

    def _count(self, plan: Plan, result: Result) -> None:
        self.total_changes += max(result.rows_affected, 0)
        if plan.inserts and result.rows_affected > 0:
            self.last_insert_rowid = result.last_insert_rowid


def _is_at_once(sql: str) -> bool:
    """Whether a BEGIN takes the writer by itself: IMMEDIATE or EXCLUSIVE."""
    return bool(identifiers(sql) & {"immediate", "exclusive"})
