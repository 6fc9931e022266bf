"""Letters alone on a page, compared with the same letters given directly."""

from collections import defaultdict
from typing import Any

import numpy as np

from lenet_xp.letters.drawn_pages import Photo, lay_alone
from lenet_xp.model_file import SavedModel
from lenet_xp.system.progress import progress_bar
from studies.page_check.letters import NAMES, Letters, equal_but_for_size, share

PAGE_SIDES = (400, 1300)  # pixels: from which height and width of a page are drawn
MIN_HEIGHT = 32  # pixels: of a letter
MAX_SHARE = 0.6  # of the page's shorter side that a letter's height may take
SPACINGS = (30, 120)  # pixels: least and largest distance of a page's printed lines
HEIGHTS = (0, 50, 100, 200)  # pixels: lower bounds of the groups of heights


def _page(image: np.ndarray, label: int, rng: np.random.Generator) -> tuple[np.ndarray, int, Photo]:
    """A page with one letter, the height of its ink in pixels, and what the photo did to it."""
    high, wide = (int(rng.integers(*PAGE_SIDES)) for _ in range(2))
    largest = MAX_SHARE * min(high, wide)
    height = int(np.exp(rng.uniform(np.log(MIN_HEIGHT), np.log(largest))))
    cover, box = lay_alone(image, NAMES[label], height, (high, wide), rng)
    photo = Photo.drawn(rng, int(np.clip(height * rng.uniform(0.5, 1.5), *SPACINGS)))
    return photo.take(cover, rng), box[3], photo


def check_singles(given: Letters, saved: SavedModel, count: int, seed: int) -> dict[str, Any]:
    """Read `count` letters directly and off drawn pages; the record of both and of the loss."""
    chosen = np.random.default_rng([seed, 0]).permutation(len(given.labels))[:count]
    labels, writers = given.labels[chosen], given.writers[chosen]
    direct = saved.preprocessing.apply_all(list(given.images[chosen]))
    pasted, heights, photos = [], [], []
    with progress_bar(len(chosen), "single letters", True) as advance:
        for place in chosen:
            rng = np.random.default_rng([seed, 1, place])
            picture, height, photo = _page(given.images[place], int(given.labels[place]), rng)
            pasted.append(saved.preprocessing.apply(picture))
            heights.append(height)
            photos.append(photo)
            advance(1)
    before = equal_but_for_size(saved.probabilities(direct).argmax(1), labels)
    after = equal_but_for_size(saved.probabilities(np.array(pasted)).argmax(1), labels)
    return {
        "given_directly": share(before, writers),
        "pasted": share(after, writers),
        "points_lost": 100 * float(before.mean() - after.mean()),
        "points_lost_by": {
            name: {"count": len(group), "points": 100 * float((before - 1.0 * after)[group].mean())}
            for name, group in _groups(heights, photos).items()
        },
    }


def _groups(heights: list[int], photos: list[Photo]) -> dict[str, list[int]]:
    """The numbers of the pages of each paper, of each polarity and of each range of heights."""
    papers, polarities, sizes = defaultdict(list), defaultdict(list), defaultdict(list)
    for number, (height, photo) in enumerate(zip(heights, photos, strict=True)):
        papers[f"paper: {photo.paper}"].append(number)
        polarities[f"light on dark: {photo.light_on_dark}"].append(number)
        sizes[max(low for low in HEIGHTS if low <= height)].append(number)
    by_height = {f"height from {low}": sizes[low] for low in HEIGHTS if low in sizes}
    return {**papers, **polarities, **by_height}
