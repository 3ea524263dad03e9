"""The control cycle without its shell: what is remembered, what is sent first, what goes wrong.

`Cycle` drives it on the event loop, the lockstep simulation drives it in virtual time; both run the
same steps in the same order: freeze, decide, adopt, decreases and renewals, save if due, increases.
"""

from __future__ import annotations

from collections import deque

from controller.alarms import AlarmBook
from controller.commands import CommandOutcome, CommandResult, SetLimit
from controller.decide import Allocate, Decision, decide
from controller.decision import Condition, Plan, Severity
from controller.image import ProcessImage
from controller.memory import Memory
from controller.policy import Policy
from controller.snapshot import Snapshot
from controller.workspace import Workspace

MEMORY_SAVE_S = 5.0
"""What was decided is on disk after so long, also without an increase. [s]"""
FAILED = Condition(
    code="CYCLE_FAILED",
    subject="site",
    text="A control cycle failed. Chargers keep their leased limits and then fall back by "
    "themselves. Please report this with the log.",
    severity=Severity.CRITICAL,
)


SOLVER_FAILURES_TOLD = 10
SOLVER_FAILURES_WITHIN_S = 3600.0


class Core:
    """The state that one cycle hands to the next. No clock, no IO; one caller at a time."""

    def __init__(
        self,
        *,
        image: ProcessImage,
        alarms: AlarmBook,
        policy: Policy,
        allocate: Allocate,
        memory: Memory,
    ) -> None:
        """Start with what an earlier run remembered."""
        self._image = image
        self._alarms = alarms
        self._policy = policy
        self._allocate = allocate
        self._workspace = Workspace()
        self._saved_s = float("-inf")
        self._is_dirty = False
        self._solver_failed_s: deque[float] = deque(maxlen=SOLVER_FAILURES_TOLD + 1)
        self.memory = memory
        self._decision: Decision | None = None
        self.snapshot: Snapshot | None = None

    @property
    def policy(self) -> Policy:
        """The policy in force."""
        return self._policy

    @property
    def plan(self) -> Plan | None:
        """The plan of the present decision."""
        return self._decision.plan if self._decision is not None else None

    def decide(self, snapshot: Snapshot) -> Decision:
        """Decide on a snapshot. Changes nothing that the caller can see; may run in a worker.

        The plan is built when it is first looked at.
        """
        return decide(
            snapshot,
            self.memory,
            self._policy,
            allocate=self._allocate,
            workspace=self._workspace,
        )

    def give_back(self, snapshot: Snapshot) -> None:
        """Undo a freeze whose decision failed: its outcomes are handed over once, and must be learned."""
        self._workspace = Workspace()
        for outcome in snapshot.outcomes:
            self._image.put_outcome(outcome)

    def adopt(self, snapshot: Snapshot, decision: Decision) -> None:
        """Make a decision the present one; its commands are booked with this and must be sent."""
        self.memory = decision.memory
        self._decision, self.snapshot = decision, snapshot
        for circuit, limit in decision.limits.items():
            self._image.watch_limit(circuit, limit)
        self._is_dirty = self._is_dirty or len(decision.wave) > 0
        self._watch_solver(decision.solver_fault, snapshot.now_s)

    def _watch_solver(self, fault: str, now_s: float) -> None:
        """Tell a solver that fails again and again; each failure alone costs nothing but fairness."""
        failed_s = self._solver_failed_s
        if fault:
            failed_s.append(now_s)
        while failed_s and now_s - failed_s[0] > SOLVER_FAILURES_WITHIN_S:
            failed_s.popleft()
        if len(failed_s) <= SOLVER_FAILURES_TOLD:
            self._alarms.end("SOLVER_FAILING", "site")
        elif fault:
            self._alarms.begin(_solver_failing(fault))

    def fail(self) -> None:
        """Note that a cycle did not go through."""
        self._alarms.begin(FAILED)

    def succeed(self) -> None:
        """Note that a cycle went through."""
        self._alarms.end(FAILED.code, FAILED.subject)

    def reconfigure(self, policy: Policy, memory: Memory) -> None:
        """Go on with another policy, and with a memory that fits another site."""
        self._policy = policy
        self._workspace = Workspace()
        self.memory = memory

    # --- commands ---------------------------------------------------------------------------------

    def sent_s(self, command: SetLimit) -> float:
        """Return when a command of the present decision was booked. [s]"""
        return self.memory.evse(command.evse).account.commanded_s or 0.0

    def finish(
        self, command: SetLimit, result: CommandResult, *, sent_s: float, done_s: float
    ) -> None:
        """Keep how a command ended for the next decision."""
        self._image.put_outcome(
            CommandOutcome(command=command, result=result, sent_s=sent_s, done_s=done_s)
        )

    # --- memory -----------------------------------------------------------------------------------

    def must_save(self, decision: Decision, now_s: float) -> bool:
        """Tell whether the memory must be on disk before the increases go out.

        After a crash the ledger must not know less than the stations.
        """
        is_due = now_s - self._saved_s >= MEMORY_SAVE_S
        return bool(decision.wave.increases) or (self._is_dirty and is_due)

    def saved(self, now_s: float, *, is_stored: bool) -> None:
        """Note an attempt to save."""
        self._saved_s = now_s
        self._is_dirty = self._is_dirty and not is_stored


def _solver_failing(fault: str) -> Condition:
    return Condition(
        code="SOLVER_FAILING",
        subject="site",
        text=f"The solver failed in more than {SOLVER_FAILURES_TOLD} cycles of the last hour: {fault}. "
        "Charging goes on by progressive filling, within all limits and a little less evenly. Please "
        "report this with the log.",
        severity=Severity.ALARM,
    )
