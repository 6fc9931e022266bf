"""The report shows the values of the records, names the missing ones, and cannot go stale."""

import json
import re
import shutil
import statistics
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import report_records
from commandline import QUICK, call, files_in, letters_folder

from lenet_xp.commands import terminal, train
from lenet_xp.errors import InputError
from lenet_xp.scores.calibration import apply_temperature, reliability
from lenet_xp.scores.intervals import bootstrap_interval, wilson_interval
from studies.report.facts import pooled_interval, pooled_writers
from studies.report.pdf import digest
from studies.report.pictures import PICTURES, pooled
from studies.report.records import RECORDS, Missing, Records
from studies.report.template import fill
from studies.report.write import StaleReport, render, sections

__all__ = ["call"]  # the fixture

ROOT = Path(__file__).resolve().parents[2]
RESULTS = ROOT / "results"
ABSENT = "not yet measured"
OLDER = "older than the program"


@pytest.fixture(scope="session")
def example(tmp_path_factory):
    """The metrics.json of a real run, so that made-up records have the names of real ones."""
    folder = tmp_path_factory.mktemp("run")
    data = letters_folder(folder / "letters")
    arguments = ["--data", str(data), "--out", str(folder / "out"), "--no-cache", *QUICK]
    assert terminal.run(train.train, arguments) == 0
    return json.loads((folder / "out" / "metrics.json").read_text())


@pytest.fixture(scope="session")
def whole(tmp_path_factory, example):
    return report_records.make(tmp_path_factory.mktemp("whole"), example)


@pytest.fixture
def made(tmp_path, whole):
    """A folder with every record, free to be changed."""
    return Path(shutil.copytree(whole, tmp_path / "results"))


def text_of(folder: Path) -> str:
    return render(Records(folder, folder), folder / "report")


def row(text: str, start: str) -> list[str]:
    """The cells of the first table row that begins so."""
    line = next(line for line in text.splitlines() if line.startswith(f"| {start}"))
    return [cell.strip() for cell in line.strip("|").split("|")]


def accuracies(folder: Path, record: str) -> list[float]:
    runs = [folder / run / "metrics.json" for run in RECORDS[record].runs]
    return [json.loads(run.read_text())["test_accuracy"] for run in runs]


def test_a_whole_set_of_records_leaves_nothing_to_say_of_missing_ones(made):
    records = Records(made, made)
    text = render(records, made / "report")
    assert ABSENT not in text and OLDER not in text
    assert records.asked == set(RECORDS), "a record that the report makes no use of"
    assert "@{" not in text and "nan" not in text.split()


@pytest.mark.parametrize("record", ["seeds-distilled", "writers-distilled", "mnist-distilled"])
def test_a_series_stands_with_mean_deviation_and_number(made, record):
    found = accuracies(made, record)
    mean, deviation = 100 * statistics.mean(found), 100 * statistics.stdev(found)
    spread = f"{mean:.2f} ± {deviation:.2f} %"
    aim = {
        "seeds-distilled": "AMHCD, seed split, mean",
        "writers-distilled": "AMHCD, writers never seen, mean",
        "mnist-distilled": "MNIST, mean",
    }[record]
    text = text_of(made)
    target = row(text, aim)
    assert target[2:4] == [spread, "5"]
    assert text.count(spread) >= 3  # against the targets, among the accuracies, in a sentence


def test_a_single_run_stands_with_its_interval(made):
    report_records.edit(made / "best-mnist" / "metrics.json", test_accuracy=0.98765, n_test=4321)
    low, high = wilson_interval(round(0.98765 * 4321), 4321)
    shown = ["0", "4,321", "98.77 %", f"{100 * low:.2f} to {100 * high:.2f} %"]
    assert row(text_of(made), "MNIST, `best` |")[2:] == shown


def test_targets_are_compared_with_the_mean(made):
    for number, accuracy in enumerate((0.9964, 0.9967, 0.9965, 0.9965, 0.9965)):
        path = made / f"seeds-distilled/seed-{number}/metrics.json"
        report_records.edit(path, test_accuracy=accuracy)
    (made / "seeds-distilled" / "summary.json").unlink()
    assert row(text_of(made), "AMHCD, seed split, mean")[4] == "yes"
    report_records.edit(made / "seeds-distilled/seed-4/metrics.json", test_accuracy=0.99)
    assert row(text_of(made), "AMHCD, seed split, mean")[4] == "no"
    report_records.edit(made / "synthetic-to-amhcd" / "scores.json", accuracy=0.9199)
    assert row(text_of(made), "AMHCD after generated letters")[4] == "no"


def test_the_worst_writer_is_the_worst_of_all_folds(made):
    for number, accuracy in enumerate((0.99, 0.9599, 0.99, 0.99, 0.99)):
        path = made / f"writers-distilled/fold-{number}/metrics.json"
        report_records.edit(path, test_worst_writer_accuracy=accuracy)
    (made / "writers-distilled" / "summary.json").unlink()
    shown = row(text_of(made), "AMHCD, writers never seen, the worst writer")
    assert shown[1:5] == ["≥ 96.00 %", "95.99 %", "5", "no"]


def test_the_choice_of_how_to_teach_is_a_table(made):
    shown = row(text_of(made), "distilled, generated letters beside, 200 epochs")
    assert shown[1:] == ["0.48 *", "0.51 *", "0.47 *", "0.49 *", "0.52 *", "0.50 *"]


def test_each_fold_has_its_row(made):
    run = json.loads((made / "writers-distilled/fold-3/metrics.json").read_text())
    low, high = run["test_writer_accuracy_interval"]
    cells = row(text_of(made), "3 | 12 |")
    assert cells[2:5] == [
        "1,200",
        f"{100 * run['test_accuracy']:.2f} %",
        f"{100 * low:.2f} to {100 * high:.2f} %",
    ]
    assert cells[5] == f"{100 * run['test_worst_writer_accuracy']:.2f} %"


def test_the_curve_over_writers_is_a_table(made):
    rows = json.loads((made / "few-writers/few_writers.json").read_text())["rows"]
    shown = f"{100 * rows[0]['accuracy']:.2f} %"
    text = text_of(made)
    assert row(text, "0 | 0 |") == ["0", "0", "–", shown]
    assert row(text, "5 | 2,145 |") == ["5", "2,145", shown, shown]


def test_a_search_is_a_table_of_effects(made):
    text = text_of(made)
    assert row(text, "100 epochs") == ["100 epochs", *6 * ["+0.12 *"], "yes"]
    assert row(text, "warmth") == ["warmth", *6 * ["-0.04"], "no"]
    assert row(text, "standard error")[1] == "± 0.05"


def test_averages_of_readings_stand_apart(made):
    text = text_of(made)
    assert row(text, "mean | 91")[1:3] == ["91.00 ± 0.00 %", "92.00 ± 0.00 %"]
    assert "92.00" not in "".join(row(text, "AMHCD, writers never seen, `best`"))


def test_the_epochs_of_mnist_are_told_beside_those_of_amhcd(made):
    for run in RECORDS["mnist-distilled"].runs:
        report_records.edit(made / run / "metrics.json", epochs=20, n_train=54_000)
    report_records.edit(made / "seeds-distilled/seed-0/metrics.json", epochs=60, n_train=18_000)
    for name in ("mnist-distilled", "seeds-distilled"):
        (made / name / "summary.json").unlink()
    assert "20 epochs of 54,000 images are 1.00 times the steps of 60 epochs" in text_of(made)


@pytest.mark.parametrize("name", sorted(RECORDS))
def test_a_missing_record_is_said_in_its_place(made, name):
    whole = text_of(made)
    record = RECORDS[name]
    for run in record.runs:
        (made / (f"{run}/metrics.json" if record.parts else record.file)).unlink()
    text = text_of(made)
    assert f"{record.title}: {ABSENT}; make it with `{record.command}`." in text
    assert text != whole
    titles = {each.title for each in RECORDS.values() if f"{each.title}: {ABSENT}" in text}
    assert titles == {record.title}


def test_without_any_record_the_report_is_still_whole(tmp_path):
    text = text_of(tmp_path)
    assert all(f"{record.title}: {ABSENT}" in text for record in RECORDS.values())
    assert text.count("## ") > 13


def test_a_series_with_a_missing_run_is_not_measured(made):
    (made / "writers-distilled" / "fold-2" / "metrics.json").unlink()
    text = text_of(made)
    assert f"{RECORDS['writers-distilled'].title}: {ABSENT}" in text
    assert row(text, "AMHCD, writers never seen, mean")[2] == ABSENT


def test_a_record_of_an_older_version_is_told_from_a_missing_one(made):
    for run in RECORDS["writers-distilled"].runs:
        report_records.edit(made / run / "metrics.json", test_ece_scaled=None)
    (made / "writers-distilled" / "summary.json").unlink()
    text = text_of(made)
    assert "the record has no `test_ece_scaled` yet" in text
    assert f"{RECORDS['writers-distilled'].title}: {ABSENT}" not in text


def test_the_same_records_give_the_same_bytes(made, tmp_path):
    copy = Path(shutil.copytree(made, tmp_path / "copy"))
    assert text_of(made) == text_of(made) == text_of(copy)


@pytest.mark.parametrize(
    ("file", "values"),
    [
        ("best-amhcd/metrics.json", {"test_accuracy": 0.9871}),
        ("classic-synthetic/metrics.json", {"test_accuracy": 0.5}),
        ("synthetic-to-amhcd/scores.json", {"top_3_accuracy": 0.9099}),
        ("benchmarks/cpu.json", {"turns": 7}),
    ],
)
def test_a_changed_record_changes_the_text(made, file, values):
    before = text_of(made)
    report_records.edit(made / file, **values)
    assert text_of(made) != before


def test_a_summary_that_is_not_of_its_runs_is_refused(made):
    report_records.edit(made / "seeds-mnist/seed-1/metrics.json", test_accuracy=0.5)
    with pytest.raises(InputError, match=r"seeds-mnist/summary.json: is not what its runs give"):
        text_of(made)


def test_a_record_that_is_no_json_is_refused(made):
    (made / "synthetic-to-amhcd" / "scores.json").write_text("{")
    with pytest.raises(InputError, match=r"scores.json: is no JSON"):
        text_of(made)


@pytest.mark.parametrize(
    "place",
    [
        "nothing.test_accuracy:percent",
        "best-amhcd.test_accuracy:pounds",
        "best-amhcd.test_accuracy",
        "fact.nothing",
        "table.nothing",
        "picture.nothing/a.png",
        "picture.report/nothing.png",
    ],
)
def test_a_place_that_nothing_can_fill_is_an_error(tmp_path, place):
    texts = sections() | {"99.md": f"Some @{{{place}}} here."}
    with pytest.raises(StaleReport, match=rf"section 99.md.*{re.escape(place)}"):
        render(Records(tmp_path), tmp_path / "report", texts)


def test_what_no_section_names_is_an_error(tmp_path):
    texts = {name: text for name, text in sections().items() if name != "10-speed.md"}
    with pytest.raises(StaleReport, match=r"fact\.machine.*table\.reading-speed"):
        render(Records(tmp_path), tmp_path / "report", texts)


def test_a_block_gives_way_with_its_caption_and_a_sentence_stands_once():
    def value(name):
        if name == "a":
            raise Missing("No a.")
        return name.upper()

    text = "# One\n\n@{a} x\n\n*caption*\n\n@{a}\n\n@{b} $`y^2`$\n\n# Two\n\n@{a}"
    assert fill(text, value) == "# One\n\n*No a.*\n\nB $`y^2`$\n\n# Two\n\n*No a.*"


def test_the_writers_of_all_folds_are_pooled(made):
    records = Records(made)
    scores = pooled_writers(records)
    assert sorted(each.group for each in scores) == list(range(60))
    assert scores == sorted(scores, key=lambda each: each.accuracy)
    correct, groups = [], []
    for fold in range(report_records.FOLDS):
        labels, probabilities, writers = report_records.answers(fold)
        correct.append(probabilities.argmax(axis=1) == labels)
        groups.append(writers)
    expected = bootstrap_interval(np.concatenate(correct), np.concatenate(groups))
    assert pooled_interval(records) == expected


def test_each_series_of_writers_has_an_interval_of_its_own():
    records = Records(RESULTS)
    taught, labelled = (
        np.array(pooled_interval(records, each)) for each in ("writers-distilled", "writers-amhcd")
    )
    assert (taught > labelled).all() and (taught == np.array(pooled_interval(records))).all()


def test_the_bins_of_all_folds_are_those_of_all_images(made):
    files = [made / run / "calibration.json" for run in RECORDS["writers-distilled"].runs]
    found = pooled([json.loads(file.read_text())["after"]["bins"] for file in files])
    labels, probabilities, _ = map(
        np.concatenate, zip(*map(report_records.answers, range(report_records.FOLDS)), strict=True)
    )
    expected = reliability(apply_temperature(probabilities, 1.5), labels)
    for name in ("edges", "counts", "confidence", "accuracy"):
        np.testing.assert_allclose(getattr(found, name), getattr(expected, name), rtol=1e-12)


def test_the_command_writes_text_and_pictures(made, call):
    outcome = call("report", "--results", made, "--out", made / "report.md")
    assert outcome.status == 0 and outcome.err == ""
    text = (made / "report.md").read_text(encoding="utf-8")
    assert text == text_of(made)
    assert files_in(made / "report") == sorted(PICTURES)
    for link in re.findall(r"\]\(([^)]+)\)", text):
        assert (made / link).exists(), link
    for name in PICTURES:
        assert cv2.imread(str(made / "report" / name)) is not None


def test_a_picture_that_can_no_longer_be_drawn_goes(made, call):
    arguments = ("report", "--results", made, "--out", made / "report.md")
    call(*arguments)
    shutil.rmtree(made / "writers-distilled")
    assert call(*arguments).status == 0
    assert files_in(made / "report") == ["accuracy.png", "im2col.png", "product.png"]


def test_links_start_from_the_report(made, tmp_path, call):
    out = tmp_path / "elsewhere" / "text.md"
    assert call("report", "--results", made, "--out", out).status == 0
    for link in re.findall(r"\]\(([^)]+)\)", out.read_text(encoding="utf-8")):
        assert (out.parent / link).exists(), link


def test_wrong_arguments_are_one_line(made, tmp_path, call):
    call("report", "--results", tmp_path / "none").assert_refused("none", "folder")
    call("report", "--results", made, "--out", made / "report.pdf").assert_refused(".md")


@pytest.mark.parametrize("package", ["pypandoc", "typst"])
def test_a_pdf_without_its_packages_is_refused_before_any_work(made, call, monkeypatch, package):
    monkeypatch.setitem(sys.modules, package, None)
    outcome = call("report", "--results", made, "--out", made / "report.md", "--pdf")
    outcome.assert_refused("pypandoc_binary", "typst", "pip install")
    assert not (made / "report.md").exists()


def test_the_pdf_holds_the_report(made, call):
    for package in ("pypandoc", "typst"):
        pytest.importorskip(package)
    arguments = ("report", "--results", made, "--out", made / "report.md", "--pdf")
    assert call(*arguments).status == 0
    pdf = (made / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-") and pdf.rstrip().endswith(b"%%EOF")
    for font in (b"DejaVuSans", b"NewCMMath"):  # Tifinagh and formulas
        assert font in pdf
    assert len(re.findall(rb"/Subtype ?/Image", pdf)) >= len(PICTURES)
    assert digest(text_of(made)).encode() in pdf
    call(*arguments)
    assert (made / "report.pdf").read_bytes() == pdf


def test_the_committed_report_is_what_the_records_give():
    written = (RESULTS / "report.md").read_text(encoding="utf-8")
    assert written == text_of(RESULTS), (
        "results/report.md is not what the records give: run `python -m studies.report` and "
        "commit results/report.md with results/report/"
    )
    for link in re.findall(r"\]\(([^)]+)\)", written):
        assert (RESULTS / link).exists(), f"{link}: run `python -m studies.report`"
    pdf = RESULTS / "report.pdf"
    assert not pdf.exists() or digest(written).encode() in pdf.read_bytes(), (
        "results/report.pdf is of another text: run `python -m studies.report --pdf` or remove it"
    )
