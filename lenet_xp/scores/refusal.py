"""How well a network tells what is none of its classes, and from where on it says so."""

import numpy as np

MAX_REFUSED = 0.005  # of the validation images: so many may be refused
MAX_THRESHOLD = 0.5  # probability: what is likelier a letter than none is never refused


def choose_threshold(shares: np.ndarray) -> float:
    """Return the threshold that refuses about 1 in 200 of validation images; it is at most 0.5.

    shares: (N,) how probable it is that each shows one of the classes.
    """
    return float(min(np.quantile(shares, MAX_REFUSED), MAX_THRESHOLD))


def refusal(letters: np.ndarray, others: np.ndarray, threshold: float) -> dict[str, float]:
    """Return the shares of both that are refused, and the area under the ROC curve between them.

    letters, others: (N,) and (M,) how probable it is that each shows one of the classes.
    """
    from sklearn.metrics import roc_auc_score  # slow to import

    known = np.r_[np.ones(len(letters)), np.zeros(len(others))]
    return {
        "letters_refused": float((letters < threshold).mean()),
        "others_refused": float((others < threshold).mean()),
        "area_under_roc": float(roc_auc_score(known, np.concatenate([letters, others]))),
    }
