"""What others want of a view, from any thread, until one of its turns sees to it."""

import threading
from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from indelible.fold.types import Answer, Question
from indelible.model.errors import Problem
from indelible.views.pending import Promise
from indelible.views.types import Follow


class Asked(NamedTuple):
    """A question, what it must cover at least, and whom to tell."""

    question: Question
    at_least: int
    promise: Promise[tuple[Answer, int]]


class Awaited(NamedTuple):
    """Somebody who waits for the view to have folded up to `target`."""

    target: int
    promise: Promise[Follow]


class Inbox:
    """Questions and waits, in the order they came."""

    def __init__(self, max_questions: int) -> None:
        self._max_questions = max_questions
        self._lock = threading.Lock()
        self._questions: deque[Asked] = deque()
        self._awaited: list[Awaited] = []

    @property
    def is_asked(self) -> bool:
        """Whether a question waits."""
        return bool(self._questions)

    @property
    def is_awaited(self) -> bool:
        """Whether anybody waits for it to go forward."""
        return bool(self._awaited)

    def put(self, asked: Asked) -> bool:
        """Add a question; False when too many wait."""
        with self._lock:
            if len(self._questions) >= self._max_questions:
                return False
            self._questions.append(asked)
            return True

    def put_wait(self, awaited: Awaited) -> None:
        """Add a wait."""
        with self._lock:
            self._awaited.append(awaited)

    def take_ready(self, applied: int) -> Asked | None:
        """Take the first question that can be answered at `applied`, or that nobody waits for any more."""
        with self._lock:
            for place, asked in enumerate(self._questions):
                if asked.at_least <= applied or not asked.promise.is_open:
                    del self._questions[place]
                    return asked
        return None

    def has_ready(self, applied: int) -> bool:
        """Whether `take_ready` would find one."""
        with self._lock:
            return any(each.at_least <= applied for each in self._questions)

    def goal(self) -> int:
        """The furthest that a question must cover; 0 when none waits."""
        with self._lock:
            return max((each.at_least for each in self._questions), default=0)

    def take_arrived(self, applied: int | None) -> list[Awaited]:
        """Take the waits whose target is folded; all of them where `applied` is None."""
        with self._lock:
            there = [each for each in self._awaited if applied is None or each.target <= applied]
            self._awaited = [each for each in self._awaited if each not in there]
        return there

    def refuse_questions(self, problem: Callable[[], Problem]) -> None:
        """Refuse all questions that wait."""
        with self._lock:
            questions, self._questions = self._questions, deque()
        for asked in questions:
            asked.promise.refuse(problem())

    def refuse_all(self, problem: Callable[[], Problem]) -> None:
        """Refuse whatever waits."""
        self.refuse_questions(problem)
        for each in self.take_arrived(None):
            each.promise.refuse(problem())
