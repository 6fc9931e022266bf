"""LeNet-5, or any network, as a scikit-learn classifier of pictures or of any table."""

import math
import multiprocessing
import threading
import warnings
from dataclasses import replace
from numbers import Integral
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import Tags, check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import check_is_fitted, validate_data

from lenet_xp.architecture import describe, layers_of
from lenet_xp.inference import among, predict_probabilities
from lenet_xp.letters import outliers
from lenet_xp.model import Sequential
from lenet_xp.ops import get_ops
from lenet_xp.pictures.from_numbers import FeatureImages
from lenet_xp.scores.refusal import choose_threshold
from lenet_xp.system.files import FilePath
from lenet_xp.training import loop
from lenet_xp.training.loop import LabelledImages
from lenet_xp.training.recipes import Recipe, named_recipe
from lenet_xp.training.start import Start, read_start
from lenet_xp.training.transfer import begin_from

MIN_VALIDATION = 100  # images: the accuracy on fewer is mostly chance
# X seems to have another unit where it uses less of fit's range, or where more of it is so far.
LEAST_USED, FAR, MOST_FAR = 0.02, 9.0, 0.01  # spans of the range, spans beyond it, share
FEWEST_NUMBERS = 64  # numbers: fewer may lie together by chance


class LeNetClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]  # of no known type
    """LeNet-5 as scikit-learn has its estimators: for clones, pickles, pipelines and searches.

    X holds pictures, (N, H, W), (N, H, W, 1) or (N, 1024), or a table, (N, features); for a network
    of three channels pictures in colour, (N, H, W, 3). `pictures/from_numbers.py` makes images of
    both: uint8 are levels, other numbers are scaled by their range in training. A UserWarning says
    where a later X seems to be in other units. A recipe's distortion is for pictures alone.

    recipe: "best", "classic", a recipe's file or a `Recipe`. network: a `Sequential` whose layers
    are trained, from new weights, in place of the recipe's network. epochs, batch_size,
    learning_rate: override the recipe's. validation_fraction: part of the training images that
    chooses the best epoch and does not train. If it is fewer than 100 images, or a class has one
    image only, all images do both.
    start: a model whose network goes on, a file of a run or a name ("letters", "generated");
    pictures are framed as it frames them. Classes that it knows by name go on, others begin anew.
    "fine-tune" is a recipe for it. outliers: generated pictures of none of the classes to learn
    from, some thousand; then `refused` says which pictures show none of them.
    warm_start: whether `fit` continues from the parameters, classes and ranges of the last `fit`.
    random_state: an int makes fits repeatable, to the bit on one machine, backend and number of
    threads. threads: cores to use on a CPU; by default all, but one in the workers of joblib and in
    threads. backend: one of `lenet_xp.ops.BACKENDS`.

    Attributes after fitting, all on the host: classes_ (K,), values_ (P,) float32, the network's
    parameters, network_, features_, preprocessing_, history_ (one row an epoch), n_iter_,
    n_features_in_ (H * W for pictures), feature_names_in_.
    """

    def __init__(
        self,
        recipe: FilePath | Recipe = "best",
        *,
        network: Sequential | None = None,
        epochs: int | None = None,
        batch_size: int | None = None,
        learning_rate: float | None = None,
        start: FilePath | None = None,
        outliers: int = 0,
        validation_fraction: float = 0.1,
        warm_start: bool = False,
        random_state: int | np.random.RandomState | None = None,
        threads: int | None = None,
        backend: str = "auto",
    ):
        self.recipe = recipe
        self.network = network
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.start = start
        self.outliers = outliers
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.threads = threads
        self.backend = backend

    def fit(self, X: np.ndarray, y: np.ndarray) -> "LeNetClassifier":
        """Train on X and labels y (N,) of any kind.

        Raises ValueError for parameters and data that do not serve, TrainingDiverged, and
        BackendUnavailable.
        """
        again = self.warm_start and hasattr(self, "values_")
        images, labels, recipe = self._checked(X, y, again)
        seed = self._seed()
        train, val = self._sides(images, labels, seed)
        if not again and self.start is None:
            self.preprocessing_ = recipe.fitted(recipe.preprocessing(), train[0])
        model, threads = self._model(recipe, seed, again), _threads(self.threads)
        if self.outliers:
            names = [str(each) for each in self.classes_]
            others = outliers.prepared(self.outliers, train[0], names, self.preprocessing_, seed)
            labels = np.full(len(others), len(names))
            train = np.concatenate([train[0], others]), np.concatenate([train[1], labels])
        result = loop.fit(model, recipe, train, val, self.preprocessing_, seed, threads)
        self.history_, self.n_iter_ = result.history, result.epochs
        self._keep(model)
        self.threshold_ = choose_threshold(self._shares(val[0])) if self.outliers else 0.0
        return self

    def partial_fit(
        self, X: np.ndarray, y: np.ndarray, classes: np.ndarray | None = None
    ) -> "LeNetClassifier":
        """One pass over X and y at a constant learning rate, from the parameters of the last call.

        The optimiser's moments begin anew.
        classes: all classes of this and later calls; the first call needs them, except after `fit`.
        The first call's X sets the ranges of levels for all. Raises what `fit` raises.
        """
        again = hasattr(self, "values_")
        if again and classes is not None and not np.array_equal(np.unique(classes), self.classes_):
            raise ValueError(f"classes are {classes}, but were {self.classes_} before")
        if not again and classes is None:
            raise ValueError("classes must be given in the first call of partial_fit")
        images, labels, recipe = self._checked(X, y, again, classes)
        recipe, seed = replace(recipe, epochs=1, schedule="constant"), self._seed()
        if not again:
            if self.start is None:
                self.preprocessing_ = recipe.fitted(recipe.preprocessing(), images)
            self.history_, self.n_iter_, self.threshold_ = [], 0, 0.0
        model, part = self._model(recipe, seed, again), (images, labels)
        how = self.preprocessing_, seed + self.n_iter_, _threads(self.threads)
        loop.fit(model, recipe, part, part, *how, on_doubt=lambda text: None)
        self.n_iter_ += 1
        self._keep(model)
        return self

    def predict_proba(self, X: np.ndarray) -> np.ndarray:
        """Probabilities (N, K) of the classes, in the order of classes_.

        They are computed in float64, so that other rows of X do not show in them.
        """
        check_is_fitted(self, "values_")
        images = self.features_.apply(self._rows(X))
        return among(self._probabilities(images), len(self.classes_))

    def refused(self, X: np.ndarray) -> np.ndarray:
        """Which rows or pictures show none of the classes, (N,) bool; without `outliers` none.

        `fit` chooses the threshold, `threshold_`: it refuses at most about 1 in 200 of the images
        that validate. `partial_fit` alone chooses none, and nothing is refused.
        """
        check_is_fitted(self, "values_")
        images = self.features_.apply(self._rows(X))
        return np.asarray(self._shares(images) < self.threshold_)

    def _shares(self, images: np.ndarray) -> np.ndarray:
        """How probable it is that each image shows one of the classes, (N,)."""
        return np.asarray(self._probabilities(images)[:, : len(self.classes_)].sum(1))

    def _probabilities(self, images: np.ndarray) -> np.ndarray:
        """The network's own probabilities of images, (N, outputs) float64."""
        ops, shape = get_ops(self.backend, "float64"), self.network_["input"]
        layers = layers_of(self.network_["layers"], shape)
        model = Sequential(layers, shape, ops, values=ops.asarray(self.values_))
        return predict_probabilities(model, images, self.preprocessing_, _threads(self.threads))

    def predict(self, X: np.ndarray) -> np.ndarray:
        """The most probable class of each row or picture, (N,)."""
        best = self.predict_proba(X).argmax(axis=1)
        return np.asarray(self.classes_[best])

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.three_d_array = True
        return tags

    def _checked(
        self, X: np.ndarray, y: np.ndarray, again: bool, classes: np.ndarray | None = None
    ) -> tuple[np.ndarray, np.ndarray, Recipe]:
        """Images, label indices and recipe: of the kind that is known if `again`, else of a new."""
        recipe = self._recipe()
        if again:
            rows, y = self._rows(X, y)
        else:
            self.__dict__.pop("values_", None)  # if this fit fails, they do not suit the classes
            rows, shape = _flat(X, recipe.channels)
            rows, y = validate_data(self, rows, y)
            check_classification_targets(y)
            self.classes_ = np.unique(y if classes is None else classes)
            if len(self.classes_) < 2:
                one = self.classes_.tolist()[0]
                raise ValueError(
                    f"LeNetClassifier needs 2 classes or more, but has one class: {one!r}"
                )
            self.features_ = FeatureImages.fitted(rows, shape, recipe.size, recipe.channels)
            if start := self._begin():
                if not self.features_.picture:
                    raise ValueError("a model to start from reads pictures, but X is a table")
                self.preprocessing_ = start.saved.preprocessing
                self.features_ = replace(self.features_, framed=self.preprocessing_)
        images = self.features_.apply(rows)
        unknown = np.setdiff1d(y, self.classes_)
        if len(unknown):
            raise ValueError(f"y holds {unknown.tolist()[0]!r}, which is none of {self.classes_}")
        if self.outliers and (not self.features_.picture or recipe.channels == 3):
            raise ValueError("outliers are grey pictures, but X is a table or keeps colours")
        if not self.features_.picture:  # the places of a table's numbers in an image mean nothing
            recipe = replace(recipe, distortion=None)
        return images, np.searchsorted(self.classes_, y), recipe

    def _begin(self) -> Start | None:
        return None if self.start is None else read_start(self.start, get_ops("numpy"))

    def _rows(self, X: np.ndarray, *y: np.ndarray) -> Any:
        """The checked rows of X, and y with them where it is given."""
        rows, shape = _flat(X, self.features_.channels)
        if shape not in (None, self.features_.shape):
            raise ValueError(f"X holds pictures of {shape}, but was {self.features_.shape} in fit")
        checked = validate_data(self, rows, *y, reset=False)
        _warn_of_range(checked[0] if y else checked, self.features_)
        return checked

    def _recipe(self) -> Recipe:
        recipe = named_recipe(self.recipe)
        if self.network is not None:
            recipe = recipe.with_network(self.network)
        if start := self._begin():
            if self.network is not None:
                raise ValueError("start has a network of its own; leave out network")
            recipe = start.recipe(recipe)
        options = {name: getattr(self, name) for name in ("epochs", "batch_size", "learning_rate")}
        whole = {name: int(value) for name, value in options.items() if isinstance(value, Integral)}
        return recipe.with_options(**options | whole)

    def _seed(self) -> int:
        return int(check_random_state(self.random_state).randint(2**31 - 1))

    def _sides(
        self, images: np.ndarray, labels: np.ndarray, seed: int
    ) -> tuple[LabelledImages, LabelledImages]:
        """The images that train and those that choose the epoch, with their labels."""
        share = self.validation_fraction
        if not 0 <= share < 1:
            raise ValueError(f"validation_fraction must lie in [0, 1), not {share!r}")
        counts = np.unique_counts(labels).counts
        size = round(share * len(labels))
        smallest = max(MIN_VALIDATION, len(counts))
        if counts.min() < 2 or not smallest <= size <= len(labels) - len(counts):
            return (images, labels), (images, labels)
        x, x_val, y, y_val = train_test_split(
            images, labels, test_size=size, stratify=labels, random_state=seed
        )
        return (x, y), (x_val, y_val)

    def _model(self, recipe: Recipe, seed: int, again: bool) -> Sequential:
        """A network to train: new, or with the parameters that there are."""
        ops = get_ops(self.backend)
        names, rubbish = tuple(map(str, self.classes_)), self.outliers > 0
        model = recipe.make_network(len(names), ops, seed=seed, rubbish=rubbish, class_names=names)
        if again:
            if describe(model) != self.network_:
                raise ValueError("this is another network than the fitted one; fit a new estimator")
            model.values[...] = ops.asarray(self.values_)
        elif start := self._begin():
            known = {name: row for row, name in enumerate(start.saved.class_names)}
            rows = [known.get(str(name), -1) for name in self.classes_]
            begin_from(model, start.saved.model, rows)
        return model

    def _keep(self, model: Sequential) -> None:
        self.network_, self.values_ = describe(model), model.ops.to_host(model.values)


def _flat(X: np.ndarray, channels: int) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Pictures (N, H, W) as rows (N, H * W), and (H, W); anything else as it is, and None.

    An axis of one channel may stand in front of H or behind W. In colour they are (N, H, W, 3).
    ValueError for other channels than the network's.
    """
    shape: tuple[int, ...] = np.shape(X) if isinstance(X, list | tuple) else getattr(X, "shape", ())
    if channels == 3:
        if len(shape) != 4 or shape[3] != 3:
            raise ValueError(f"the network reads colours: give X of (N, H, W, 3), not {shape}")
        return np.asarray(X).reshape(shape[0], -1), (shape[1], shape[2])
    if len(shape) < 3:
        return X, None
    sides = shape[1:] if len(shape) == 3 else shape[1:3] if shape[3] == 1 else shape[2:]
    if len(shape) > 4 or (len(shape) == 4 and 1 not in (shape[1], shape[3])):
        raise ValueError(
            f"X has the shape {shape}, but the network takes one channel: give grey pictures, "
            "(N, H, W), such as X.mean(axis=-1) of (N, H, W, 3), or a network of three channels"
        )
    return np.asarray(X).reshape(shape[0], math.prod(sides)), (sides[0], sides[1])


def _warn_of_range(rows: np.ndarray, features: FeatureImages) -> None:
    """One UserWarning where rows (N, F) are hardly of the range that `fit` has seen."""
    low, high, axis = features.low, features.high, 0 if features.low.ndim else None
    span = np.where(high > low, high - low, np.inf)  # a column that did not vary tells nothing
    bottom, top = (np.asarray(f(axis=axis), np.float64) for f in (rows.min, rows.max))
    used = ((top - low) / span).max() - ((bottom - low) / span).min()  # 1: all of the range
    problem = ""
    if 0 < used < LEAST_USED and rows.size >= FEWEST_NUMBERS:
        problem = "uses almost none of"
    elif ((top > high + FAR * span) | (bottom < low - FAR * span)).any():
        far = (rows > high + FAR * span) | (rows < low - FAR * span)
        problem = "lies far outside of" if far.mean() > MOST_FAR else ""
    if problem:
        warnings.warn(
            f"X spans {bottom.min():g} to {top.max():g}, which {problem} the range in fit, "
            f"{low.min():g} to {high.max():g}; give X in the same units",
            stacklevel=4,
        )


def _threads(asked: int | None) -> int | None:
    """The threads asked for; by default one in workers and threads, None for all elsewhere."""
    if asked is not None:
        if not isinstance(asked, Integral) or asked < 1:
            raise ValueError(f"threads must be a whole number of at least 1, not {asked!r}")
        return int(asked)
    worker = multiprocessing.parent_process() is not None
    return 1 if worker or threading.current_thread() is not threading.main_thread() else None
