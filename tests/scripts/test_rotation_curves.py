"""The arithmetic that the example scripts share: data, fields, fits, permutation test."""

from __future__ import annotations

import hashlib
import re
import sys
import tracemalloc
from dataclasses import replace
from pathlib import Path

import pytest

np = pytest.importorskip("numpy")
special = pytest.importorskip("scipy.special")
optimize = pytest.importorskip("scipy.optimize")

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
sys.path.insert(0, str(SCRIPTS))

from rep6 import crossval, fields, fit, galaxy, permute  # noqa: E402 (importorskip comes first)
from rep6.files import DATA_DIR, InputError  # noqa: E402

CHECKSUMS = {
    "DDO154": "2458c2c392ab2314abc92725b7d0ccee22d9b666a15377e13a1c69d5f5d67ac7",
    "DDO161": "27e0916b85f28f0ed9dca6308f7453ae0e05c0d4e3d999b1ee94af8e0d149cdf",
    "NGC2403": "9be193eccc5c363e74d04270290d831738f41ec9225a3b2c95353fd3812170b8",
    "NGC3198": "17b774ad11e7dd745a067073b76f1909d4de32fa87616df12b64da3f225cf953",
    "NGC7331": "87055981e7f0c741584ddea2f0fe9660dba7cc0c86697f2eb53cdaa75e536c9b",
    "UGC06787": "519900d9f360782451247b9d057da4c3589ce1f7ed84083e65ba294f5aa2989a",
}
HEADER = "# Distance = 5.0 Mpc\n"
ROW = "{r} 50.0 2.0 10.0 30.0 0.0 {sb} 0.0\n"


def table(rows: int = 8) -> str:
    """A small, plausible mass model."""
    return HEADER + "".join(ROW.format(r=i + 1.0, sb=100.0 / (i + 1)) for i in range(rows))


# --- data ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CHECKSUMS)
def test_data_files_are_the_published_ones(name: str) -> None:
    """Each mass model is byte for byte SPARC's, and its README states the same checksum."""
    path = DATA_DIR / f"{name}_rotmod.dat"
    assert hashlib.sha256(path.read_bytes()).hexdigest() == CHECKSUMS[name]
    assert f"{CHECKSUMS[name]}  {path.name}" in (DATA_DIR / "README.md").read_text(encoding="utf-8")


def test_columns_are_read_in_order() -> None:
    """The first row of UGC06787, whose eight numbers all differ, lands in the right fields."""
    one = galaxy.read_galaxy(DATA_DIR, "UGC06787")
    columns = (one.radius, one.v_obs, one.v_err, one.v_gas, one.v_disk, one.v_bulge, one.sb_disk, one.sb_bulge)
    assert [column[0] for column in columns] == [0.12, 134.0, 41.1, -0.73, 7.68, 179.06, 623.48, 50762.31]
    assert one.distance_mpc == 21.3
    assert one.radius.size == 71


def test_negative_gas_velocity_pulls_outwards() -> None:
    """NGC7331's inner Vgas of -12.02 km/s at 2.67 kpc is an outward acceleration of 12.02²/2.67, not an inward one."""
    gas = galaxy.gas_acceleration(galaxy.read_galaxy(DATA_DIR, "NGC7331"))
    assert gas[0] == pytest.approx(-(12.02**2) / 2.67)
    assert gas[-1] == pytest.approx(47.97**2 / 36.31)


def test_bulge_weighs_more_than_disk() -> None:
    """Star acceleration is Vdisk² + 1.4·Vbul² over R: NGC7331's first row by hand."""
    stars = galaxy.star_acceleration(galaxy.read_galaxy(DATA_DIR, "NGC7331"))
    assert stars[0] == pytest.approx((317.90**2 + 1.4 * 136.84**2) / 2.67)


def test_velocity_error_floor() -> None:
    """The floor is 3 % of V between 3 and 7 km/s, added in quadrature: three values worked out by hand."""
    error = galaxy.velocity_error(np.array([50.0, 150.0, 300.0]), np.array([4.0, 6.0, 24.0]))
    assert error == pytest.approx([5.0, 7.5, 25.0])


def test_acceleration_error_is_propagated() -> None:
    """g = V²/R = 2500/2 and its error 2·V·e/R = 2·50·5/2 for V = 50 ± 4 km/s at 2 kpc."""
    one = galaxy.read_galaxy(DATA_DIR, "DDO154")
    one = replace(one, radius=np.array([2.0]), v_obs=np.array([50.0]), v_err=np.array([4.0]))
    observed, error = galaxy.observed_acceleration(one)
    assert observed == pytest.approx([1250.0])
    assert error == pytest.approx([250.0])


def test_circular_velocity_inverts_acceleration() -> None:
    """Velocities of either sign survive the way to an acceleration and back."""
    velocity, radius = np.array([-12.0, 0.0, 40.0]), np.array([1.0, 2.0, 3.0])
    assert galaxy.circular_velocity(galaxy.signed_acceleration(velocity, radius), radius) == pytest.approx(velocity)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (table().replace("50.0", "fast", 1), "line 2: not a number"),
        (table().replace("50.0", "nan", 1), "line 2: a value is not finite"),
        (table().replace(" 0.0\n", "\n", 1), "line 2: 7 columns"),
        (table(rows=5), "5 radii"),
        (table().replace("2.0 50.0", "0.5 50.0", 1), "radii must be positive and increase"),
        (table().replace("50.0", "-50.0", 1), "Vobs and errV must be positive"),
        (table().replace("50.0", "5000.0", 1), "1000 km/s"),
        (table().replace("100.0 0.0", "-100.0 0.0", 1), "surface brightness"),
        (table().replace(" 30.0 ", " 0.0 "), "no stellar disk"),
        (table().replace("Distance", "Dist"), "Distance"),
        (table().replace("5.0 Mpc", "5.0.1 Mpc"), "Distance"),
    ],
)
def test_impossible_data_is_refused(tmp_path: Path, text: str, message: str) -> None:
    """A malformed or unphysical mass model gives an InputError of one line that says what is wrong."""
    (tmp_path / "X_rotmod.dat").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=re.escape(message)) as caught:
        galaxy.read_galaxy(tmp_path, "X")
    assert "\n" not in str(caught.value)


def test_plausible_data_is_accepted(tmp_path: Path) -> None:
    """The table that the refused ones are made from is itself good, so each refusal has the cause it names."""
    (tmp_path / "X_rotmod.dat").write_text(table(), encoding="utf-8")
    assert galaxy.read_galaxy(tmp_path, "X").radius.size == 8


def test_missing_data_is_refused(tmp_path: Path) -> None:
    """A missing mass model is an InputError that names the file."""
    with pytest.raises(InputError, match=r"X_rotmod\.dat: No such file"):
        galaxy.read_galaxy(tmp_path, "X")


# --- fields -------------------------------------------------------------------------------------------------------


def test_light_map_conserves_light() -> None:
    """The map of an exponential disk (200 L/pc², scale 2 kpc) holds the light 2π·Σ0·Rd² of the analytic disk."""
    radius = np.linspace(0.05, 40, 800)
    light = fields.light_map(radius, 200 * np.exp(-radius / 2), 42.0, 512)
    assert light.sum() == pytest.approx(2 * np.pi * 200e6 * 4, rel=2e-3)


def test_surface_brightness_ends_with_the_light() -> None:
    """Between the data it is log-linear, inside the first radius constant, beyond the last light zero."""
    radius, sb = np.array([1.0, 3.0, 5.0, 7.0]), np.array([100.0, 1.0, 0.01, 0.0])
    at = np.array([0.0, 1.0, 2.0, 5.0, 5.1, 9.0])
    assert fields.surface_brightness(radius, sb, at) == pytest.approx([100, 100, 10, 0.01, 0, 0])


def test_line_source_has_its_known_acceleration() -> None:
    """One line source of density λ off the centre pulls with 2·G·λ·d/(d² + s²) everywhere on the grid."""
    pixels, step, softening, density = 32, 0.5, 0.6, 1e9
    light = np.zeros((pixels, pixels))
    light[20, 9] = density
    inward_x, inward_y = fields.line_source_field(light, step, softening)
    axis = np.arange(pixels) * step
    dx, dy = axis[None, :] - 9 * step, axis[:, None] - 20 * step
    known = 2 * fields.G * density / (dx**2 + dy**2 + softening**2)
    assert inward_x == pytest.approx(known * dx, abs=1e-9 * known.max())
    assert inward_y == pytest.approx(known * dy, abs=1e-9 * known.max())


def test_filtered_sheet_has_its_known_acceleration() -> None:
    """A Gaussian sheet, low-passed without anisotropy, has the field of the wider Gaussian sheet, to 1e-4.

    Φ(r) = -G·M·sqrt(π/2)/a · exp(-u)·I0(u), u = r²/4a², with a² = width² + 1/σk² (Toomre 1963, ApJ 138, 385).
    """
    pixels, half_width, width, sigma_k, mass = 256, 20.0, 1.0, 0.8, 1e10
    step = 2 * half_width / pixels
    axis = (np.arange(pixels) - pixels // 2) * step
    sheet = np.exp(-(axis[:, None] ** 2 + axis[None, :] ** 2) / (2 * width**2))
    sheet *= mass / sheet.sum()
    radius = np.array([0.5, 1.0, 2.0, 4.0, 8.0, 16.0])
    mean = fields.azimuthal_mean(*fields.filtered_sheet_field(sheet, step, sigma_k, 0.0), step, radius)
    spread = np.sqrt(width**2 + 1 / sigma_k**2)
    u = radius**2 / (4 * spread**2)
    slope = (special.i0e(u) - special.i1e(u)) * radius / (2 * spread**2)
    known = fields.G * mass * np.sqrt(np.pi / 2) / spread * slope
    assert mean == pytest.approx(known, rel=1e-4)


def test_anisotropy_turns_with_its_sign() -> None:
    """β and -β give the same field with x and y exchanged, and β = 0 treats x and y alike."""
    light = fields.light_map(np.array([0.5, 2.0, 4.0]), np.array([100.0, 10.0, 1.0]), 6.0, 64)
    plus = fields.filtered_sheet_field(light, 0.1875, 0.5, 0.5)
    minus = fields.filtered_sheet_field(light, 0.1875, 0.5, -0.5)
    none = fields.filtered_sheet_field(light, 0.1875, 0.5, 0.0)
    # The first row and column have no counterpart on the other side of the centre.
    assert plus[0][1:, 1:] == pytest.approx(minus[1].T[1:, 1:], rel=1e-9, abs=1e-9)
    assert none[0] == pytest.approx(none[1].T, rel=1e-9, abs=1e-9)
    assert not np.allclose(plus[0], none[0], rtol=1e-2)


@pytest.mark.parametrize("model", [fields.WS, fields.PHIETA], ids=lambda model: model.key)
def test_fields_do_not_depend_on_the_grid(model: fields.Model) -> None:
    """Doubling the number of pixels changes no galaxy's field by more than 3 % of its largest value."""
    for one in galaxy.read_galaxies(DATA_DIR)[:3]:
        for point in (model.points[0], model.points[-1]):
            coarse, fine = model.field(one, point, 128), model.field(one, point, 256)
            assert np.abs(coarse - fine).max() < 0.03 * np.abs(fine).max()


# --- fits ---------------------------------------------------------------------------------------------------------


def synthetic(ml: float, amplitude: float, point: int) -> tuple[fit.Problem, galaxy.Galaxy]:
    """NGC3198 with an observed curve made exactly from ml and amplitude at one point of model WS."""
    one = galaxy.read_galaxy(DATA_DIR, "NGC3198")
    field = np.array([fields.ws_field(one, node, 64) for node in fields.WS.points])
    total = galaxy.gas_acceleration(one) + ml * galaxy.star_acceleration(one) + amplitude * field[point]
    one = replace(one, v_obs=galaxy.circular_velocity(total, one.radius))
    return fit.make_problem(one, field), one


def test_exact_galaxy_is_recovered() -> None:
    """A galaxy built from M/L 0.6, amplitude 0.05 and softening 0.6 kpc gives back all three with chi2 of 0."""
    problem, _ = synthetic(0.6, 0.05, 1)
    found = fit.fit_points(problem)
    assert found.best == 1
    assert found.ml[1] == pytest.approx(0.6, rel=1e-6)
    assert found.amplitude[1] == pytest.approx(0.05, rel=1e-6)
    assert found.chi2[1] == pytest.approx(0, abs=1e-12)
    assert found.chi2[0] > 1e-3


def test_solution_is_the_constrained_minimum() -> None:
    """For random problems, many with a free minimum at M/L < 0, the answer is that of a general bounded solver."""
    rng = np.random.default_rng(1)
    design = rng.normal(size=(3, 12, 2)) * [1.0, 1e3]
    targets = rng.normal(size=(20, 12))
    found = fit.solve(design, targets)
    bounds = ([0, -np.inf], np.inf)
    for point in range(3):
        for index, target in enumerate(targets):
            known = optimize.lsq_linear(design[point], target, bounds=bounds, method="bvls").x
            assert found[point, index] == pytest.approx(known, rel=1e-6, abs=1e-9)
    assert 0 < np.count_nonzero(found[..., 0] == 0) < 60


def test_baryons_alone_never_get_negative_mass() -> None:
    """If gas alone pulls more than is observed, M/L is 0 and chi2 is that of gas alone."""
    problem = fit.Problem(np.array([-1.0, -2.0]), np.array([1.0, 1.0]), np.zeros((1, 2)))
    assert fit.fit_baryons(problem) == (0.0, 5.0)


def test_aicc_by_hand() -> None:
    """chi2 10, n 12, k 4: 10 + 8 + 40/7; with n 5 the correction has no value."""
    assert fit.aicc(10.0, 12, 4) == pytest.approx(18 + 40 / 7)
    with pytest.raises(ValueError, match="more than 5"):
        fit.aicc(10.0, 5, 4)


def test_shared_amplitude_is_recovered() -> None:
    """Galaxies with different M/L but one amplitude give back that amplitude, with chi2 of 0."""
    problems = [synthetic(ml, 0.05, 2)[0] for ml in (0.3, 0.6, 0.9)]
    amplitude, chi2 = crossval.shared_fit(problems, 2)
    assert amplitude == pytest.approx(0.05, rel=1e-6)
    assert chi2 == pytest.approx(0, abs=1e-9)


def test_left_out_galaxy_does_not_take_part() -> None:
    """What is chosen for a left-out galaxy comes from the others: an odd one changes every fold but its own."""
    names = ("a", "b", "c", "odd")
    problems = [synthetic(ml, 0.05, 0)[0] for ml in (0.3, 0.6, 0.9)] + [synthetic(0.5, 0.2, 2)[0]]
    folds = crossval.leave_one_out(fields.WS, problems, names)
    assert folds[3]["point"] == {"softening_kpc": 0.4}
    assert folds[3]["amplitude"] == pytest.approx(0.05, rel=1e-6)
    assert all(fold["amplitude"] > 0.055 for fold in folds[:3])


# --- permutation test ---------------------------------------------------------------------------------------------


def p_of(noise: np.ndarray, draws: int, seed: int) -> float:
    """p-value of the permutation test for a smooth synthetic galaxy with the given noise."""
    x = np.linspace(0.1, 1, noise.size)
    field = np.stack([x, x**2])
    problem = fit.Problem(3 / x + 2 * x + noise, 1 / x, field)
    found = fit.fit_points(problem)
    return permute.p_value(permute.count_extreme(problem, found, draws, (seed,)), draws)


def test_lag1_by_hand() -> None:
    """1, 2, 3, 6 has mean 3, deviations -2, -1, 0, 3, so lag-1 autocorrelation 2/14; +1, -1, … gives -(n-1)/n."""
    assert permute.lag1(np.array([1.0, 2.0, 3.0, 6.0])) == pytest.approx(2 / 14)
    assert permute.lag1(np.array([[1.0, -1.0, 1.0, -1.0]])) == pytest.approx([-0.75])


def test_white_residuals_give_uniform_p_values() -> None:
    """For independent errors p is uniform: over 300 seeded galaxies its tenths are hit evenly, small ones not often."""
    rng = np.random.default_rng(3)
    p = np.array([p_of(rng.normal(size=20), 199, seed) for seed in range(300)])
    counts = np.histogram(p, bins=10, range=(0, 1))[0]
    assert counts.min() > 12  # 30 expected, standard deviation 5.2
    assert counts.max() < 50
    assert np.mean(p <= 0.05) < 0.09


def test_correlated_residuals_give_a_tiny_p_value() -> None:
    """A slow wave in the residuals leaves no draw as extreme as the data: p is the least possible."""
    noise = np.sin(np.linspace(0, 25, 60)) + 0.1 * np.random.default_rng(4).normal(size=60)
    assert p_of(noise, 999, 1) == pytest.approx(1 / 1000)


def test_alternating_residuals_are_not_evidence() -> None:
    """The test is one-sided: residuals of alternating sign give a large p."""
    assert p_of(np.tile([1.0, -1.0], 20), 199, 1) > 0.95


def test_draws_are_permuted_and_refitted() -> None:
    """Each draw is the best fit plus permuted residuals, fitted again at every point with M/L ≥ 0, by a plain loop.

    The galaxy has little noise and an M/L close to 0, so that a draw that forgot the fitted curve, the bound or the
    choice of the point would give another statistic.
    """
    x = np.linspace(0.1, 1, 15)
    noise = np.random.default_rng(10).normal(size=15)
    problem = fit.Problem(0.1 / x + 30 * x + noise, 1 / x, np.stack([x, x**1.05]))
    found = fit.fit_points(problem)
    residuals = found.residuals[found.best]
    shuffled = np.random.default_rng((7,)).permuted(np.broadcast_to(residuals, (40, 15)), axis=1)
    known, bounded, points = [], 0, set()
    for target in problem.target - residuals + shuffled:
        fits = [
            optimize.lsq_linear(one, target, bounds=([0, -np.inf], np.inf), method="bvls") for one in problem.design
        ]
        best = min(range(2), key=lambda point: fits[point].cost)
        bounded += fits[best].x[0] < 1e-9
        points.add(best)
        left = target - problem.design[best] @ fits[best].x
        left -= left.mean()
        known.append((left[1:] * left[:-1]).sum() / (left**2).sum())
    assert permute.null_draws(problem, found, 40, (7,)) == pytest.approx(known, abs=1e-6)
    assert 0 < bounded < 40
    assert points == {0, 1}


def test_draws_depend_on_the_seed_alone() -> None:
    """The same seed gives the same draws, another one different draws."""
    problem, _ = synthetic(0.6, 0.05, 1)
    problem = replace(problem, target=problem.target + np.random.default_rng(5).normal(size=problem.target.size))
    found = fit.fit_points(problem)
    first = permute.null_draws(problem, found, 50, (1, 2, 3))
    assert (first == permute.null_draws(problem, found, 50, (1, 2, 3))).all()
    assert (first != permute.null_draws(problem, found, 50, (1, 2, 4))).any()


def test_chunk_sets_the_memory() -> None:
    """The peak of a chunk is what the documentation says: about three arrays of draws × points × radii × 8 bytes."""
    problem, _ = synthetic(0.6, 0.05, 1)
    problem = replace(problem, target=problem.target + np.random.default_rng(5).normal(size=problem.target.size))
    found = fit.fit_points(problem)
    draws = 2000
    tracemalloc.start()
    permute.null_draws(problem, found, draws, (1,))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert 2 < peak / (draws * problem.fields.size * 8) < 4


def test_chunks_cover_all_draws() -> None:
    """Chunks are full but for the last, and add up."""
    assert permute.chunks(10, 4) == [4, 4, 2]
    assert permute.chunks(8, 4) == [4, 4]
    assert permute.chunks(3, 4) == [3]
