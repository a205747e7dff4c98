"""The example scripts as they are started: guard, results, pages, errors."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

for package in ("numpy", "scipy", "matplotlib", "jinja2"):
    pytest.importorskip(package)

pytestmark = pytest.mark.slow
SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
WS = "ab_comp/run_rep6_ws.py"
PHIETA = "ab_comp/run_rep6_phieta.py"
REPORT = "reports/build_ws_vs_phieta_rep6.py"
VALIDATE = "cross_validate_shared.py"
INDEX = "build_state_of_the_art.py"
PROGRESS = "update_progress.py"
HEAVY = (WS, PHIETA, REPORT, VALIDATE, INDEX)
TINY = ("--fast", "--grid", "32", "--permutations", "40", "--chunk", "16")
GUARD_MESSAGE = "dispatcher経由で実行してください"
Damage = Callable[[dict[str, Any]], dict[str, Any]]
PROGRESS_LINE = re.compile(r"\[[a-z0-9-]+\] \d+/\d+ \| elapsed=\d+\.\dm ETA=\d+\.\dm")


def start(
    script: str, *arguments: str | Path, job: bool = True, cwd: Path | None = None, **extra: str
) -> subprocess.CompletedProcess[str]:
    """Run a script as a user would, inside or outside a job."""
    environment = {name: value for name, value in os.environ.items() if name != "GRAV_BG_JOB"}
    environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONUTF8": "1", **extra}
    if job:
        environment["GRAV_BG_JOB"] = "1"
    return subprocess.run(
        [sys.executable, SCRIPTS / script, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        timeout=120,
        check=False,
        cwd=cwd,
        env=environment,
    )


def load(path: Path) -> Any:  # noqa: ANN401 (any JSON value)
    """A JSON file that holds strict JSON: NaN and infinity make this fail."""
    return json.loads(path.read_text(encoding="utf-8"), parse_constant=lambda name: pytest.fail(f"{name} in {path}"))


@pytest.fixture(scope="module")
def road(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the whole road has been run once, with a tiny grid."""
    root = tmp_path_factory.mktemp("road")
    for script, arguments in (
        (WS, (*TINY, "--workers", "2")),
        (PHIETA, (*TINY, "--workers", "1")),
        (VALIDATE, ("--fast", "--grid", "32", "--workers", "1")),
        (REPORT, ("--fast",)),
        (PROGRESS, ("--rate", "50", "--note", "途中経過 <script>")),
        (INDEX, ()),
    ):
        # Started from elsewhere: nothing may depend on the current folder.
        ended = start(script, *arguments, "--root", root, cwd=root)
        assert ended.returncode == 0, ended.stderr
        assert ended.stderr == ""
    return root


@pytest.fixture
def poison(tmp_path: Path) -> Path:
    """A folder of packages that say so when they are imported."""
    for name in ("numpy", "scipy", "matplotlib", "jinja2"):
        (tmp_path / f"{name}.py").write_text(f"raise SystemExit('imported {name}')\n", encoding="utf-8")
    return tmp_path


@pytest.mark.parametrize("script", HEAVY)
def test_refuses_outside_a_job(script: str, poison: Path) -> None:
    """Outside a job a heavy script says how to start it, exits with 1, and has imported nothing heavy."""
    ended = start(script, "--fast", job=False, PYTHONPATH=str(poison))
    assert ended.returncode == 1
    assert GUARD_MESSAGE in ended.stderr
    assert "gravscope run" in ended.stderr
    assert "imported" not in ended.stderr
    assert ended.stdout == ""


@pytest.mark.parametrize("script", HEAVY)
def test_imports_heavy_packages_inside_a_job(script: str, poison: Path) -> None:
    """The poison of the test before works: inside a job the same script reaches it."""
    ended = start(script, PYTHONPATH=str(poison))
    assert ended.stderr.startswith("imported ")


def test_progress_needs_no_job(tmp_path: Path, poison: Path) -> None:
    """update_progress runs anywhere without heavy packages, appends, and prints one line for each note."""
    for rate, note in (("50", "途中経過"), ("62.5", "")):
        ended = start(PROGRESS, "--rate", rate, "--note", note, "--root", tmp_path, job=False, PYTHONPATH=str(poison))
        assert ended.returncode == 0, ended.stderr
        assert ended.stdout == f"[progress] {rate}% {note}".rstrip() + "\n"
    entries = load(tmp_path / "data/results/progress.json")
    assert [(entry["rate"], entry["note"]) for entry in entries] == [(50, "途中経過"), (62.5, "")]


@pytest.mark.parametrize("rate", ["-1", "100.5", "nan", "half"])
def test_progress_refuses_an_impossible_rate(tmp_path: Path, rate: str) -> None:
    """A rate outside 0 to 100 is a usage error and writes nothing."""
    ended = start(PROGRESS, f"--rate={rate}", "--root", tmp_path, job=False)
    assert ended.returncode == 2
    assert list(tmp_path.iterdir()) == []


def test_progress_keeps_a_file_it_cannot_read(tmp_path: Path) -> None:
    """A damaged list of notes is reported in one line with exit status 2 and left as it is."""
    path = tmp_path / "notes.json"
    path.write_text('[{"time": ', encoding="utf-8")
    ended = start(PROGRESS, "--rate", "1", "--file", path, job=False)
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1
    assert path.read_text(encoding="utf-8") == '[{"time": '


@pytest.mark.parametrize(("key", "parameters"), [("ws", {"softening_kpc"}), ("phieta", {"sigma_k_per_kpc", "beta"})])
def test_result_is_complete_and_consistent(road: Path, key: str, parameters: set[str]) -> None:
    """A result has six galaxies; the best point has the least chi2 of its grid, and chi2 is that of the residuals."""
    result = load(road / f"data/results/rep6_{key}_fast.json")
    assert (result["schema"], result["model"], result["mode"]) == (1, key, "fast")
    assert {"python", "numpy", "scipy"} <= result["versions"].keys()
    assert result["options"]["permutations"] == 40
    assert len(result["galaxies"]) == 6
    for one in result["galaxies"]:
        assert one["best"].keys() == parameters
        assert one["chi2"] == min(node["chi2"] for node in one["grid"])
        assert one["chi2"] == pytest.approx(sum(value**2 for value in one["curves"]["residuals"]), rel=1e-3)
        assert one["chi2"] <= one["baseline"]["chi2"]
        assert 0 <= one["ml_disk"] < 1.5
        assert one["ml_at_bound"] == (one["ml_disk"] == 0)
        assert 1 / 41 <= one["residual_test"]["p_value"] <= 1


def test_workers_do_not_change_the_result(tmp_path: Path) -> None:
    """One process and two workers agree to the last digit, also in p-values that chance has a hand in."""
    results = []
    for workers in ("1", "2"):
        path = tmp_path / f"{workers}.json"
        options = ("--grid", "32", "--permutations", "20000", "--chunk", "3000", "--workers", workers)
        ended = start(PHIETA, *options, "--out", path)
        assert ended.returncode == 0, ended.stderr
        results.append(load(path)["galaxies"])
    assert results[0] == results[1]
    assert any(one["residual_test"]["p_value"] > 3 / 20001 for one in results[0])


def test_progress_lines_of_a_run(tmp_path: Path) -> None:
    """Every line but the last is a progress line of the documented form, and the last of them counts all draws."""
    ended = start(WS, *TINY, "--workers", "1", "--out", tmp_path / "x.json")
    *lines, last = ended.stdout.splitlines()
    assert all(PROGRESS_LINE.fullmatch(line) for line in lines)
    assert lines[-1].startswith("[rep6-ws] 240/240 | ")
    assert last == f"[rep6-ws] wrote {tmp_path / 'x.json'}"


def test_permutation_test_can_be_left_out(tmp_path: Path) -> None:
    """With --permutations 0 the residual test is null, not a made-up number."""
    ended = start(WS, "--grid", "32", "--permutations", "0", "--workers", "1", "--out", tmp_path / "x.json")
    assert ended.returncode == 0, ended.stderr
    assert all(one["residual_test"] is None for one in load(tmp_path / "x.json")["galaxies"])


def test_report_is_one_file_with_table_and_plots(road: Path) -> None:
    """The report names every galaxy, holds six real PNG images, and refers to no other file."""
    page = (road / "server/public/reports/ws_vs_phieta_rep6.html").read_text(encoding="utf-8")
    images = re.findall(r'src="data:image/png;base64,([^"]+)"', page)
    assert len(images) == 6
    assert all(base64.b64decode(image).startswith(b"\x89PNG") for image in images)
    assert not re.search(r'(src|href)="(?!data:)', page)
    for one in load(road / "data/results/rep6_ws_fast.json")["galaxies"]:
        assert f'<td class="text">{one["name"]}</td>' in page
        assert f"<td>{one['chi2']:.1f}</td>" in page


def test_cross_validation_scores_every_galaxy(road: Path) -> None:
    """Both models have six folds, one for each galaxy, and the summary is that of the folds."""
    result = load(road / "data/results/cross_validation_fast.json")
    assert [model["model"] for model in result["models"]] == ["ws", "phieta"]
    for model in result["models"]:
        assert len({fold["left_out"] for fold in model["folds"]}) == 6
        total = sum(fold["chi2"] for fold in model["folds"])
        assert model["summary"]["chi2_per_datum"] == pytest.approx(total / 266)


def test_index_shows_everything_and_escapes_notes(road: Path) -> None:
    """The index links the report, lists both fits, both validations and the note, and a note cannot inject markup."""
    page = (road / "server/public/state_of_the_art/index.html").read_text(encoding="utf-8")
    assert 'href="../reports/ws_vs_phieta_rep6.html"' in page
    assert (road / "server/public/state_of_the_art/../reports/ws_vs_phieta_rep6.html").exists()
    assert page.count('<td class="text">WS (line source)</td>') == 2
    assert page.count('<td class="text">Φη (filtered potential)</td>') == 2
    assert "途中経過 &lt;script&gt;" in page
    assert "<script>" not in page


def test_index_of_nothing(tmp_path: Path) -> None:
    """Before anything has been computed the index says so instead of failing."""
    ended = start(INDEX, "--root", tmp_path)
    assert ended.returncode == 0, ended.stderr
    page = (tmp_path / "server/public/state_of_the_art/index.html").read_text(encoding="utf-8")
    assert page.count("None yet.") == 2


def one_line_error(ended: subprocess.CompletedProcess[str], text: str) -> None:
    """Assert exit status 2 and a single line on standard error that contains text."""
    assert ended.returncode == 2
    assert len(ended.stderr.splitlines()) == 1, ended.stderr
    assert text in ended.stderr


@pytest.mark.parametrize("script", [WS, PHIETA, VALIDATE])
def test_bad_data_gives_one_line(script: str, tmp_path: Path) -> None:
    """A damaged or missing mass model ends every computing script with one clear line and exit status 2."""
    data = tmp_path / "sparc"
    shutil.copytree(SCRIPTS / "data/sparc", data)
    (data / "NGC7331_rotmod.dat").write_text("# Distance = 14.7 Mpc\n1.0 oops\n", encoding="utf-8")
    one_line_error(start(script, "--data", data, "--root", tmp_path), "NGC7331_rotmod.dat, line 2: not a number")
    (data / "DDO154_rotmod.dat").unlink()
    one_line_error(start(script, "--data", data, "--root", tmp_path), "DDO154_rotmod.dat: No such file")
    assert not (tmp_path / "data").exists()


def test_report_without_results_says_what_to_run(tmp_path: Path) -> None:
    """Without results the report names the script that makes them."""
    one_line_error(start(REPORT, "--root", tmp_path), "run scripts/ab_comp/run_rep6_ws.py --fast first")


@pytest.mark.parametrize(
    ("damage", "text"),
    [
        (lambda result: result | {"schema": 99}, "not a result of schema 1"),
        (lambda result: result | {"model": "phieta"}, "model is 'phieta'"),
        (lambda result: result | {"galaxies": result["galaxies"][:5]}, "different numbers of galaxies"),
        (lambda result: result | {"galaxies": result["galaxies"][::-1]}, "different data"),
        (lambda result: {name: result[name] for name in ("schema", "model", "mode")}, "incomplete"),
    ],
)
def test_report_refuses_results_that_do_not_match(road: Path, tmp_path: Path, damage: Damage, text: str) -> None:
    """Results of another schema, model or data set, or incomplete ones, are told in one line."""
    shutil.copytree(road / "data", tmp_path / "data")
    path = tmp_path / "data/results/rep6_ws_fast.json"
    path.write_text(json.dumps(damage(load(path))), encoding="utf-8")
    one_line_error(start(REPORT, "--root", tmp_path), text)


@pytest.mark.parametrize("arguments", [("--fast", "--full"), ("--workers", "0"), ("--grid", "8"), ("--seed", "-1")])
def test_impossible_options_are_usage_errors(arguments: tuple[str, ...]) -> None:
    """Contradictory or out-of-range options end with exit status 2 before anything is computed."""
    ended = start(WS, *arguments)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr
