"""Run the generators of connectors. They yield what they want, and are sent what they get.

A conversation, the reading of a record and an errand are such generators. A connector does no I/O in them; the caller
that runs one does it.
"""

from collections.abc import Awaitable, Callable, Generator
from typing import TypeVar

Step = TypeVar("Step")
Answer = TypeVar("Answer")
Result = TypeVar("Result")

MOST_REQUESTS = 32
"""The most requests of one conversation: more of them are a loop."""


def run(
    generator: Generator[Step, Answer, Result], answer: Callable[[Step], Answer], *, most: int | None = None
) -> Result:
    """Run a generator to its result, if `answer` needs no waiting. Raises as `run_async` does."""
    steps = 0
    try:
        step = next(generator)
        while most is None or steps < most:
            step = generator.send(answer(step))
            steps += 1
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        generator.close()
    raise RuntimeError(f"a conversation of more than {most} requests")


async def run_async(
    generator: Generator[Step, Answer, Result],
    answer: Callable[[Step], Awaitable[Answer]],
    *,
    most: int | None = None,
    thrown: type[Exception] | tuple[type[Exception], ...] = (),
) -> Result:
    """What the generator returns. Each step that it yields is given to `answer`, and it is sent what that returns.

    most    how many steps it may yield: None is any number. Raises RuntimeError for more
    thrown  errors of `answer` that are raised inside the generator, which may go on. Any other closes it

    Raises what `answer` and the generator raise.
    """
    steps = 0
    try:
        step = next(generator)
        while most is None or steps < most:
            try:
                given = await answer(step)
            except thrown as problem:
                step = generator.throw(problem)
            else:
                step = generator.send(given)
            steps += 1
    except StopIteration as end:
        result: Result = end.value
        return result
    finally:
        generator.close()
    raise RuntimeError(f"a conversation of more than {most} requests")
