"""Reads SPARC mass models and turns velocities into accelerations.

Source of the data and of its conventions: Lelli, McGaugh & Schombert 2016, AJ 152, 157.
"""

from __future__ import annotations

import hashlib
import math
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rep6.files import InputError

Array = NDArray[np.float64]

GALAXIES = ("DDO154", "DDO161", "NGC2403", "NGC3198", "NGC7331", "UGC06787")

# Bulges are older and redder than disks. Lelli et al. (2017, ApJ 836, 152) take M/L = 0.7 for bulges and 0.5 for
# disks at 3.6 µm; only that ratio is used here, the common scale is fitted.
BULGE_TO_DISK_ML = 1.4

# Random errors of rotation curves leave out non-circular motions and asymmetries, of order 3 % of the velocity.
FLOOR_FRACTION, FLOOR_MIN, FLOOR_MAX = 0.03, 3.0, 7.0

# A fit with four parameters has a finite AICc from six points on.
MIN_RADII = 6
COLUMNS = 8


@dataclass(frozen=True)
class Galaxy:
    """One galaxy's mass model: arrays of shape (n,), velocities in km/s, surface brightness in L/pc²."""

    name: str
    distance_mpc: float
    sha256: str
    radius: Array
    v_obs: Array
    v_err: Array
    v_gas: Array
    v_disk: Array
    v_bulge: Array
    sb_disk: Array
    sb_bulge: Array


def velocity_error(v_obs: Array, v_err: Array) -> Array:
    """Total velocity error in km/s, shape (n,): sqrt(errV² + clip(0.03·V, 3, 7)²)."""
    floor = np.clip(FLOOR_FRACTION * v_obs, FLOOR_MIN, FLOOR_MAX)
    return np.hypot(v_err, floor)


def observed_acceleration(galaxy: Galaxy) -> tuple[Array, Array]:
    """V²/R and its standard error 2·V·e/R, each of shape (n,), (km/s)²/kpc.

    The error is first-order propagation; radii are taken as exact.
    """
    error = velocity_error(galaxy.v_obs, galaxy.v_err)
    return galaxy.v_obs**2 / galaxy.radius, 2 * galaxy.v_obs * error / galaxy.radius


def signed_acceleration(velocity: Array, radius: Array) -> Array:
    """V·|V|/R, shape (n,), (km/s)²/kpc: SPARC gives an outward pull as a negative velocity."""
    return velocity * np.abs(velocity) / radius


def gas_acceleration(galaxy: Galaxy) -> Array:
    """Acceleration by the gas, shape (n,). SPARC's Vgas already includes helium, so nothing is scaled."""
    return signed_acceleration(galaxy.v_gas, galaxy.radius)


def star_acceleration(galaxy: Galaxy) -> Array:
    """Acceleration by disk and bulge for a disk M/L of 1 (the bulge's is BULGE_TO_DISK_ML), shape (n,)."""
    disk = signed_acceleration(galaxy.v_disk, galaxy.radius)
    return disk + BULGE_TO_DISK_ML * signed_acceleration(galaxy.v_bulge, galaxy.radius)


def circular_velocity(acceleration: Array, radius: Array) -> Array:
    """sign(g)·sqrt(|g|·R), shape (n,), km/s: the inverse of signed_acceleration."""
    return np.sign(acceleration) * np.sqrt(np.abs(acceleration) * radius)


def read_galaxy(folder: Path, name: str) -> Galaxy:
    """Read NAME_rotmod.dat from folder; InputError if it is missing, malformed or physically impossible."""
    path = folder / f"{name}_rotmod.dat"
    try:
        raw = path.read_bytes()
        text = raw.decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not a text file"
        raise InputError(f"cannot read {path}: {reason}") from error
    table = _parse_table(text, path)
    distance = re.search(r"Distance\s*=\s*(\d+(?:\.\d+)?)\s*Mpc", text)
    if distance is None or not 0 < float(distance[1]) < 1000:
        raise InputError(f"{path}: no plausible 'Distance = … Mpc' line")
    galaxy = Galaxy(name, float(distance[1]), hashlib.sha256(raw).hexdigest(), *table.T)
    problem = _implausible(galaxy)
    if problem:
        raise InputError(f"{path}: {problem}")
    return galaxy


def read_galaxies(folder: Path) -> list[Galaxy]:
    """Read all six galaxies, in the order of GALAXIES."""
    return [read_galaxy(folder, name) for name in GALAXIES]


def _parse_table(text: str, path: Path) -> Array:
    """The numbers of a mass model as an array of shape (n, 8)."""
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        try:
            row = [float(word) for word in line.split()]
        except ValueError:
            raise InputError(f"{path}, line {number}: not a number in {line.strip()[:60]!r}") from None
        if not all(map(math.isfinite, row)):
            raise InputError(f"{path}, line {number}: a value is not finite")
        if len(row) != COLUMNS:
            raise InputError(f"{path}, line {number}: {len(row)} columns instead of {COLUMNS}")
        rows.append(row)
    if len(rows) < MIN_RADII:
        raise InputError(f"{path}: {len(rows)} radii, at least {MIN_RADII} are needed")
    return np.array(rows, dtype=np.float64)


def _implausible(galaxy: Galaxy) -> str | None:
    """What is physically wrong with a galaxy's numbers, or None. The bounds are far outside any real galaxy."""
    velocities = (galaxy.v_obs, galaxy.v_err, galaxy.v_gas, galaxy.v_disk, galaxy.v_bulge)
    checks = [
        (galaxy.radius[0] > 0 and (np.diff(galaxy.radius) > 0).all(), "radii must be positive and increase"),
        (galaxy.radius[-1] < 500, "a radius of 500 kpc or more"),
        ((galaxy.v_obs > 0).all() and (galaxy.v_err > 0).all(), "Vobs and errV must be positive"),
        (all((np.abs(velocity) < 1000).all() for velocity in velocities), "a velocity of 1000 km/s or more"),
        ((galaxy.v_disk >= 0).all() and (galaxy.v_bulge >= 0).all(), "Vdisk and Vbul must not be negative"),
        ((galaxy.sb_disk >= 0).all() and (galaxy.sb_bulge >= 0).all(), "surface brightness must not be negative"),
        (galaxy.v_disk.any() and galaxy.sb_disk.any(), "no stellar disk"),
    ]
    return next((message for passed, message in checks if not passed), None)
