"""AMHCD as its authors publish it, through kagglehub; the project itself holds no image of it."""

from pathlib import Path

from lenet_xp.errors import InputError

HANDLE = "benaddym/amazigh-handwritten-character-database-amhcd"
PAGE = f"https://www.kaggle.com/datasets/{HANDLE}"
SOURCE = "Es Saady et al., IJCA 27(4), 2011"
TERMS = f"{SOURCE}: available for research and academic use; this project passes on no image of it"


def download_amhcd() -> Path:
    """The folder AMHCD is unpacked in, downloaded on the first call (no Kaggle account needed).

    Without kagglehub or without a network it raises InputError.
    """
    try:
        import kagglehub
    except ImportError as error:
        raise InputError(
            "amhcd: kagglehub is not installed: pip install 'lenet-xp[amhcd]', "
            f"or download the zip from {PAGE} and give its path instead"
        ) from error
    try:
        return Path(kagglehub.dataset_download(HANDLE))
    except Exception as error:  # whatever the network, the server or the disk comes up with
        reason = " ".join(str(error).split())[:120] or type(error).__name__
        raise InputError(
            f"amhcd: the download failed ({reason}); "
            f"download the zip from {PAGE} in a browser and give its path instead"
        ) from error
