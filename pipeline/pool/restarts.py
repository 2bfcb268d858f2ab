"""What engines are lost by, and which budget pays for another in their place.

The work fails where an engine raises or stands still; a machine fails where a process is killed or
a node is lost. What was announced is nobody's failure. The two have budgets of their own, because
a defect shows within a few losses, while machines come and go as long as a run lasts.
"""

from schemas.errors import EngineError


class MachineLost(EngineError):
    """An engine was lost with what it ran on."""


class Killed(MachineLost):
    """Its process is gone. Its children are blamed: what killed it can have been a prompt."""


class NodeLost(MachineLost):
    """Its node is gone, which is no prompt's fault."""


class Preempted(MachineLost):
    """Its node was taken away with notice: nobody's fault, and counted nowhere."""


def blames_children(error: EngineError) -> bool:
    """Whether what the engine worked on may have been the cause."""
    return not isinstance(error, NodeLost | Preempted)


def is_machines(error: EngineError | None, *, ever_loaded: bool) -> bool:
    """Whether a loss is a machine's failure rather than the work's.

    A process that is killed before any engine of its group has `ever_loaded` is the work's: most
    likely what it loads does not fit.
    """
    return isinstance(error, MachineLost) and (ever_loaded or not isinstance(error, Killed))


class Restarts:
    """The two budgets, and what is spent of them."""

    def __init__(self, work: int, machines: int) -> None:
        self._allowed = {"restarts": work, "machine_restarts": machines}
        self._spent = dict.fromkeys(self._allowed, 0)

    @property
    def work(self) -> int:
        """Engines replaced because they raised or stalled."""
        return self._spent["restarts"]

    @property
    def machines(self) -> int:
        """Engines replaced because their process was killed or their node lost."""
        return self._spent["machine_restarts"]

    def pay(self, error: EngineError, *, ever_loaded: bool, spare: bool = False) -> bool:
        """Whether there is another engine for one that was lost; it is paid for then.

        A `spare` one comes and goes with its node, and is asked for again at no cost.
        """
        if isinstance(error, Preempted) or (spare and isinstance(error, NodeLost)):
            return True
        machines = is_machines(error, ever_loaded=ever_loaded)
        budget = "machine_restarts" if machines else "restarts"
        left = self._spent[budget] < self._allowed[budget]
        self._spent[budget] += left
        return left

    def __str__(self) -> str:
        words = (f"{self._spent[name]} of {most} `{name}`" for name, most in self._allowed.items())
        return " and ".join(words)
