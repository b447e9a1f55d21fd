"""What looks at a training from outside: it is told of the begin, of every report and of the end."""

from typing import Any

HOOKS = ("on_fit_begin", "on_report", "on_fit_end", "on_fit_error")


class Callback:
    """What an estimator's ``callbacks=`` takes; its methods do nothing, and a callback overrides those that it needs.

    Any object with one of these methods is a callback. What derives from this class is shared by an estimator and its
    clones (`sklearn.base.clone`), as a connection to the outside has to be; other objects are copied, as any parameter.

    A callback looks and changes nothing: what is trained is the same to the bit as without it. It may draw from torch's
    global generators, whose state is put back. With several processes the first one alone calls it.

    Examples
    --------
    >>> from sklearn.datasets import make_classification
    >>> from latentover import DeepClassifier
    >>> class Losses(Callback):
    ...     def on_fit_begin(self, estimator, n_steps):
    ...         self.steps = []
    ...
    ...     def on_report(self, estimator, row):
    ...         self.steps.append(int(row["step"]))
    ...         return row["step"] >= 4  # True ends the training
    >>> X, y = make_classification(100, random_state=0)
    >>> losses = Losses()
    >>> classifier = DeepClassifier(batch_size=25, hidden_units=8, max_epochs=20, callbacks=losses).fit(X, y)
    >>> losses.steps
    [4]
    """

    def on_fit_begin(self, estimator: Any, n_steps: int) -> None:
        """Take note that a training begins.

        Parameters
        ----------
        estimator : estimator
            The one that is fitted.
        n_steps : int
            Steps of the whole training; one that goes on from a checkpoint makes fewer.
        """

    def on_report(self, estimator: Any, row: dict[str, float]) -> bool | None:
        """Look at a new row of the history; an exception ends the training and `fit` raises it.

        Parameters
        ----------
        estimator : estimator
            It predicts with the weights that it has, in evaluation mode, where its ``predicts_while_trained`` is True.
        row : dict
            ``step``, ``seconds`` since the start, each loss, and ``validation_acsa`` with ``early_stopping=True``.

        Returns
        -------
        bool or None
            True ends the training as if this had been its last step: the weights are those of now, or with
            ``early_stopping=True`` the best ones so far, and the history is kept.
        """

    def on_fit_end(self, estimator: Any) -> None:
        """Take note that a training has ended; the estimator is fitted."""

    def on_fit_error(self, estimator: Any, error: BaseException) -> None:
        """Take note that a training has failed, be it by an exception of a callback, before `fit` raises."""

    def __sklearn_clone__(self) -> "Callback":
        return self


def as_callbacks(callbacks: Any) -> tuple[Any, ...]:
    """Return the callbacks that the parameter means: none, one or several."""
    if callbacks is None:
        return ()
    return tuple(callbacks) if isinstance(callbacks, list | tuple) else (callbacks,)


def are_callbacks(value: Any) -> bool:
    """Return whether the parameter can mean a value: each callback has one of the hooks, and none is a class."""
    return all(
        not isinstance(each, type) and any(callable(getattr(each, hook, None)) for hook in HOOKS)
        for each in as_callbacks(value)
    )
