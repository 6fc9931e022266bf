"""The study of fine-tuning draws what it says: letters and a sign, as photographs of many sizes."""

from PIL import Image

from lenet_xp.letters.alphabet import letters
from studies import own_letters


def test_a_data_set_has_nine_letters_and_a_sign(tmp_path, monkeypatch):
    monkeypatch.setattr(own_letters, "EACH", 2)
    classes = own_letters.draw(tmp_path, 1)
    names = {letter.name for letter in letters()}
    assert [name for name in classes if name not in names] == ["kite"] and len(set(classes)) == 10
    for side in ("train", "test"):
        files = sorted((tmp_path / side).glob("*/*.jpg"))
        assert {path.parent.name for path in files} == set(classes) and len(files) == 20
    sizes = {Image.open(path).size for path in files}
    assert len(sizes) > 10 and all(min(size) >= 140 for size in sizes)
    again = own_letters.draw(tmp_path / "again", 1)
    copy = tmp_path / "again" / "train" / "kite" / "00.jpg"
    assert again == classes
    assert copy.read_bytes() == (tmp_path / "train" / "kite" / "00.jpg").read_bytes()
