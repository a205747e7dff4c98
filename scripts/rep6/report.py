"""The report that compares the two models: one HTML file with a table and the plots inside it."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from typing import Any

import matplotlib as mpl

mpl.use("Agg")  # no display is needed, or wanted, in a job

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rep6.files import REPORT, InputError, result_path
from rep6.options import base_parser, finish
from rep6.pages import load_result, write_page
from rep6.verdict import TITLES, better, sentences

# Colour-blind safe (Okabe & Ito).
COLOURS = {"ws": "#0072b2", "phieta": "#d55e00", "baseline": "#777777"}
DPI = 110


def pair_up(ws: dict[str, Any], phieta: dict[str, Any]) -> list[dict[str, Any]]:
    """The two results galaxy by galaxy; InputError unless both come from the same data."""
    rows = []
    for one, other in zip(ws["galaxies"], phieta["galaxies"], strict=False):
        if (one["name"], one["data_sha256"]) != (other["name"], other["data_sha256"]):
            raise InputError("the two results were computed from different data: run both again")
        delta = one["aicc"] - other["aicc"]
        rows.append({"name": one["name"], "ws": one, "phieta": other, "delta_aicc": delta, "better": better(delta)})
    if not rows or len(ws["galaxies"]) != len(phieta["galaxies"]):
        raise InputError("the two results hold different numbers of galaxies: run both again")
    return rows


def totals(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Sums over the galaxies of chi2 and AICc (galaxies are independent), and how often each model is preferred."""
    sums = {
        key: {
            "chi2": sum(row[key]["chi2"] for row in rows),
            "aicc": sum(row[key]["aicc"] for row in rows),
            "wins": sum(better(row["delta_aicc"]) == key for row in rows),
        }
        for key in ("ws", "phieta")
    }
    baseline = {name: sum(row["ws"]["baseline"][name] for row in rows) for name in ("chi2", "aicc")}
    radii = sum(row["ws"]["radii"] for row in rows)
    return {**sums, "baseline": baseline, "radii": radii, "delta_aicc": sums["ws"]["aicc"] - sums["phieta"]["aicc"]}


def draw_curves(axes: Axes, row: dict[str, Any]) -> None:
    """Rotation velocities: observed, gas and stars alone, and both models with the gas and stars in each."""
    curves = row["ws"]["curves"]
    axes.errorbar(
        curves["radius_kpc"], curves["v_obs"], curves["v_err"], fmt="o", ms=3, lw=0.8, color="black", label="observed"
    )
    axes.plot(curves["radius_kpc"], curves["v_baseline"], ":", color=COLOURS["baseline"], label="gas and stars alone")
    for key, label in TITLES.items():
        curves = row[key]["curves"]
        axes.plot(curves["radius_kpc"], curves["v_model"], color=COLOURS[key], label=label)
        axes.plot(
            curves["radius_kpc"],
            curves["v_baryons"],
            "--",
            lw=0.8,
            color=COLOURS[key],
            label=f"gas and stars in {label}",
        )
    axes.set(title=row["name"], ylabel="V (km/s)")
    axes.set_ylim(bottom=0)
    axes.legend(fontsize=7, loc="lower right", ncols=2)


def draw_residuals(axes: Axes, row: dict[str, Any]) -> None:
    """Standardised residuals of both models, with the band of one standard error."""
    axes.axhspan(-1, 1, color="#eeeeee")
    for key in ("ws", "phieta"):
        curves = row[key]["curves"]
        axes.plot(curves["radius_kpc"], curves["residuals"], "o-", ms=2.5, lw=0.8, color=COLOURS[key])
    axes.set(xlabel="R (kpc)", ylabel="residual / error")


def plot(row: dict[str, Any]) -> str:
    """One galaxy's figure as base64 of a PNG."""
    figure = Figure(figsize=(6, 4.6), layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    draw_curves(upper, row)
    draw_residuals(lower, row)
    stream = io.BytesIO()
    figure.savefig(stream, format="png", dpi=DPI)
    return base64.b64encode(stream.getvalue()).decode("ascii")


def main(program: str, description: str, arguments: Sequence[str] | None = None) -> int:
    """Entry of build_ws_vs_phieta_rep6.py: returns the exit status."""
    options = base_parser(description).parse_args(arguments)

    def work() -> None:
        results = {}
        for key in ("ws", "phieta"):
            path = result_path(options.root, f"rep6_{key}", options.mode)
            hint = f"run scripts/ab_comp/run_rep6_{key}.py --{options.mode} first"
            results[key] = load_result(path, hint, model=key, mode=options.mode)
        try:
            rows = pair_up(results["ws"], results["phieta"])
            for row in rows:
                row["plot"] = plot(row)
            path = options.out or options.root / REPORT
            values = {"mode": options.mode, "results": results, "rows": rows}
            write_page(path, "report.html.j2", **values, totals=totals(rows), sentences=sentences(rows), titles=TITLES)
        except (KeyError, TypeError) as error:
            raise InputError(f"a result file is incomplete ({error}): run both models again") from error
        print(f"[report] wrote {path}")

    return finish(program, work)
