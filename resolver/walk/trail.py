"""What a walk has done so far, counted and written down; and the actions that it has not yet handed out."""

from protocol.codes import ResponseCode
from protocol.version import Version
from resolver.walk.events import Action, Ask, Drop, Ended, Learnt, NoReply, Place, RootMoved, Step, Wake, Way
from resolver.walk.limits import Limits
from resolver.walk.question import Candidate, Question, Stuck


class Trail:
    """The ledger of one walk. `now_ms` is set by the machine before anything else happens."""

    __slots__ = ("_actions", "_is_root_moved", "_number", "_questions", "deadline_ms", "limits", "now_ms", "steps")

    def __init__(self, limits: Limits) -> None:
        self.limits = limits
        self.now_ms = 0
        self.deadline_ms = 0
        self.steps: list[Step] = []
        self._actions: list[Action] = []
        self._number = 0
        self._questions = 0
        self._is_root_moved = False

    def taken(self) -> list[Action]:
        """The actions since the last call."""
        actions, self._actions = self._actions, []
        return actions

    def wake(self, at_ms: int) -> int:
        """The number of a new alarm."""
        self._number += 1
        self._actions.append(Wake(self._number, at_ms))
        return self._number

    def ask(
        self,
        question: Question,
        server: Candidate,
        place: Place,
        way: Way,
        waits_ms: tuple[int, ...],
        version: Version,
    ) -> int:
        """The number of a new message; `Stuck` where the walk has asked enough or has no time left."""
        if self._questions >= self.limits.questions:
            raise Stuck(
                f"the walk has asked {self._questions} questions and is no nearer to an answer",
                is_failure=True,
                is_limit=True,
            )
        if question.recursion_count > self.limits.own_recursion_count:
            raise Stuck(
                f"the walk's recursion count is over {self.limits.own_recursion_count}",
                code=ResponseCode.RECURSION_COUNT_TOO_HIGH,
                is_failure=True,
                is_limit=True,
            )
        if self.now_ms >= self.deadline_ms:
            raise self.out_of_time()
        self._questions += 1
        self._number += 1
        self._actions.append(
            Ask(
                number=self._number,
                place=place,
                way=way,
                body=question.body,
                opcode=question.opcode,
                flags=question.flags,
                version=version,
                site_serial=server.site.serial,
                recursion_count=question.recursion_count,
                waits_ms=waits_ms,
                keys=server.keys,
            )
        )
        return self._number

    def out_of_time(self) -> Stuck:
        """What is raised, or ended with, when the total time is up."""
        told = f"no answer was found in {self.limits.total_ms / 1000:g} s"
        return Stuck(told, is_failure=True, is_limit=True)

    def drop(self, number: int) -> None:
        """Nobody waits for that reply any more."""
        self._actions.append(Drop(number))

    def learn(self, learnt: Learnt) -> None:
        """Something worth remembering."""
        self._actions.append(learnt)

    def root_moved(self) -> None:
        """Tell so, once."""
        if not self._is_root_moved:
            self._is_root_moved = True
            self._actions.append(RootMoved())

    def end(self, ended: Ended) -> None:
        """The last action."""
        self._actions.append(ended)

    def step(
        self, question: Question, place: Place | None, way: Way | None, began_ms: int, outcome: int | NoReply
    ) -> None:
        """Write down what came of one message."""
        self.steps.append(
            Step(
                why=question.why,
                handle=question.handle,
                place=place,
                way=way,
                began_ms=began_ms,
                took_ms=self.now_ms - began_ms,
                outcome=outcome,
                depth=question.depth,
            )
        )

    def remembered(self, why: str, handle: bytes, code: int, depth: int) -> None:
        """Write down what needed no question."""
        self.steps.append(
            Step(
                why=why,
                handle=handle,
                place=None,
                way=None,
                began_ms=self.now_ms,
                took_ms=0,
                outcome=code,
                depth=depth,
            )
        )
