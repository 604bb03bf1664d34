"""Where the SDK meets what `componentize-py` makes of `wit/view.wit`. Only a build has that."""

from collections.abc import Callable
from typing import Any

from indelible_view.events import Event
from indelible_view.refusal import Refusal
from indelible_view.view import AuditView, Failed, Life


def export(kind: type[AuditView]) -> Any:
    """Return the class that a build exports. It must be called `View`, in the module `app`.

    Outside of a build, where there is nothing to be exported to, `kind` comes back as it is.
    """
    try:
        from componentize_py_types import Err  # type: ignore[import-not-found]  # noqa: PLC0415 - made by the build
        from wit_world import exports  # type: ignore[import-not-found]  # noqa: PLC0415 - same
        from wit_world.exports import view as wit  # type: ignore[import-not-found]  # noqa: PLC0415 - same
    except ImportError:
        return kind

    # Here and not in the class below: the build makes an instance of it for each exported function.
    life = Life(kind)
    names = {form: form.name.lower() for form in wit.Form}

    class View(exports.View):  # type: ignore[misc]  # the base is made by the build
        """The functions of `wit/view.wit`."""

        def describe(self) -> str:
            return life.describe()

        def init(self, config: str, facts: list[tuple[str, str]]) -> None:
            _attempt(Err, lambda: life.init(config, facts))

        def append(self, events: Any) -> None:
            _attempt(Err, lambda: _fold(life, events, names))

        def query(self, request: Any) -> Any:
            answer = _attempt(
                Err,
                lambda: life.query(request.params, request.body, request.facts),
                wit.Refusal_Invalid,
                wit.Refusal_Failed,
            )
            return wit.Answer(answer.content_type, answer.body)

        def snapshot(self, part: int) -> str | None:
            return life.snapshot(part)

        def restore(self, part: int, text: str, last: bool) -> None:  # noqa: FBT001 - the contract's
            _attempt(Err, lambda: life.restore(part, text, last=last))

    return View


def _attempt(
    err: Any,
    call: Callable[[], Any],
    refused: Callable[[str], Any] = str,
    failed: Callable[[str], Any] = str,
) -> Any:
    """Turn what the SDK raises into what the contract can say; anything else would be a mute trap."""
    try:
        return call()
    except Refusal as error:
        raise err(refused(str(error))) from None
    except Failed as error:
        raise err(failed(str(error))) from None


def _fold(life: Life, batch: Any, names: dict[Any, str]) -> None:
    """Hand a batch over, event by event."""
    writers, places, forms = batch.writers, batch.writer_of, batch.forms
    for at, (time, text) in enumerate(zip(batch.times, batch.payloads, strict=True)):
        writer = writers[places[at] if places else 0]
        form = names[forms[at]] if forms else "text"
        life.append(Event(batch.first_sequence + at, time, writer, text, form))
