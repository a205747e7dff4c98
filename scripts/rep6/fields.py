"""The two models: the acceleration that each adds to gas and stars, from a map of the disk's light.

Both act on the same face-on, axisymmetric map of the disk's surface brightness, on a square grid that is padded to
twice its side, so that the periodicity of the FFT does not reach the galaxy.

WS  (line source): each surface element acts as an infinite line source perpendicular to the disk, whose acceleration
    falls as 1/r: 2·G·λ·r/(r² + s²), with softening s. The amplitude A (1/kpc) turns the element's light dL into the
    line density λ = A·dL.
Φη  (filtered potential): the Newtonian potential of the same light as a thin sheet, Φ(k) = -2π·G·Σ(k)/k, low-passed by
    exp(-[(1 + β)·kx² + (1 - β)·ky²]/(2·σk²)). The amplitude is a dimensionless mass-to-light ratio of this component.

Both are example models for an example workload: one with a 1/r, one with a 1/r² fall-off. Units throughout: kpc,
km/s, solar masses and luminosities.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from scipy import fft, ndimage, special

from rep6.galaxy import Array, Galaxy

G = 4.30091e-6  # kpc·(km/s)²/Msun
PC2_PER_KPC2 = 1e6
ANGLES = 64
# The map reaches a little beyond the last radius so that no sample falls on its edge.
MARGIN = 1.05

Point = Mapping[str, float]


@dataclass(frozen=True)
class Model:
    """A model: its name in file names, its title, its parameter grid, and its field at one point of that grid."""

    key: str
    title: str
    amplitude_unit: str
    points: tuple[Point, ...]
    field: Callable[[Galaxy, Point, int], Array]

    @property
    def parameters(self) -> int:
        """Number of fitted parameters: M/L, amplitude, and each parameter chosen on the grid."""
        return 2 + len(self.points[0])


def surface_brightness(radius: Array, sb: Array, at: Array) -> Array:
    """Surface brightness at radii `at` (any shape), in the unit of sb (shape (n,) at radius).

    Log-linear between the data, constant inside the first radius (no extrapolation to an unseen centre) and zero
    beyond the last radius with light, as the table rounds fainter light to 0.00.
    """
    lit = sb > 0
    profile = np.exp(np.interp(at, radius[lit], np.log(sb[lit])))
    return np.where(at <= radius[lit][-1], profile, 0.0)


def light_map(radius: Array, sb: Array, half_width: float, pixels: int) -> Array:
    """Luminosity per pixel (L), shape (pixels, pixels), of a disk with profile sb (L/pc²) at radius (kpc).

    Pixel [i, j] is centred at y = (i - pixels/2)·h, x = (j - pixels/2)·h with h = 2·half_width/pixels.
    """
    step = 2 * half_width / pixels
    axis = (np.arange(pixels) - pixels // 2) * step
    distance = np.hypot(axis[:, None], axis[None, :])
    return surface_brightness(radius, sb, distance) * PC2_PER_KPC2 * step**2


def line_source_field(light: Array, step: float, softening: float) -> tuple[Array, Array]:
    """Inward x and y acceleration of a map of line sources, each of shape (pixels, pixels), (km/s)²/kpc.

    light: line densities per pixel (Msun/kpc), shape (pixels, pixels); step and softening in kpc.
    """
    pixels = light.shape[0]
    size = 2 * pixels
    offset = fft.fftfreq(size) * size * step
    kernel = 2 * G * offset[None, :] / (offset[:, None] ** 2 + offset[None, :] ** 2 + softening**2)
    spectrum = fft.rfft2(light, s=(size, size))
    inward_x = fft.irfft2(spectrum * fft.rfft2(kernel), s=(size, size))[:pixels, :pixels]
    inward_y = fft.irfft2(spectrum * fft.rfft2(kernel.T), s=(size, size))[:pixels, :pixels]
    return inward_x, inward_y


def filtered_sheet_field(mass: Array, step: float, sigma_k: float, beta: float) -> tuple[Array, Array]:
    """Inward x and y acceleration of a low-passed thin sheet, each of shape (pixels, pixels), (km/s)²/kpc.

    mass: mass per pixel (Msun), shape (pixels, pixels); step in kpc, sigma_k in 1/kpc, -1 < beta < 1. The kernel 1/r
    is cut off at half the padded box: no periodic image lies within that distance, so the galaxy is truly isolated
    (Vico, Greengard & Ferrando 2016, J. Comput. Phys. 323, 191).
    """
    pixels = mass.shape[0]
    size = 2 * pixels
    cutoff = pixels * step
    kx = 2 * np.pi * fft.rfftfreq(size, step)[None, :]
    ky = 2 * np.pi * fft.fftfreq(size, step)[:, None]
    k = np.hypot(kx, ky)
    k[0, 0] = 1.0
    # Two-dimensional transform of 1/r for r < cutoff; without the cut-off the integral of J0 would be 1.
    kernel = 2 * np.pi / k * special.itj0y0(k * cutoff)[0]
    kernel[0, 0] = 2 * np.pi * cutoff
    kernel *= np.exp(-((1 + beta) * kx**2 + (1 - beta) * ky**2) / (2 * sigma_k**2))
    # mass is per pixel: dividing by the pixel area here gives the surface density that the transform wants.
    potential = -G / step**2 * kernel * fft.rfft2(mass, s=(size, size))
    inward_x = fft.irfft2(1j * kx * potential, s=(size, size))[:pixels, :pixels]
    inward_y = fft.irfft2(1j * ky * potential, s=(size, size))[:pixels, :pixels]
    return inward_x, inward_y


def azimuthal_mean(inward_x: Array, inward_y: Array, step: float, radius: Array) -> Array:
    """Inward radial acceleration averaged over ANGLES directions, shape (n,), at the given radii (kpc)."""
    angle = 2 * np.pi * (np.arange(ANGLES) + 0.5) / ANGLES
    centre = inward_x.shape[0] // 2
    rows = centre + radius[:, None] * np.sin(angle) / step
    columns = centre + radius[:, None] * np.cos(angle) / step
    x = ndimage.map_coordinates(inward_x, [rows, columns], order=3)
    y = ndimage.map_coordinates(inward_y, [rows, columns], order=3)
    mean: Array = (x * np.cos(angle) + y * np.sin(angle)).mean(axis=1)
    return mean


def ws_field(galaxy: Galaxy, point: Point, pixels: int) -> Array:
    """Field of model WS for an amplitude of 1/kpc, shape (n,), (km/s)²/kpc."""
    half_width = MARGIN * float(galaxy.radius[-1])
    step = 2 * half_width / pixels
    light = light_map(galaxy.radius, galaxy.sb_disk, half_width, pixels)
    return azimuthal_mean(*line_source_field(light, step, point["softening_kpc"]), step, galaxy.radius)


def phieta_field(galaxy: Galaxy, point: Point, pixels: int) -> Array:
    """Field of model Φη for an amplitude of 1 Msun/Lsun, shape (n,), (km/s)²/kpc.

    The filter spreads the mass over 1/σk. The map is widened by 1.5 times that, which keeps mass within three
    widths of the disk inside the cut-off of the kernel.
    """
    sigma_k, beta = point["sigma_k_per_kpc"], point["beta"]
    half_width = MARGIN * float(galaxy.radius[-1]) + 1.5 * np.sqrt(1 + abs(beta)) / sigma_k
    step = 2 * half_width / pixels
    light = light_map(galaxy.radius, galaxy.sb_disk, half_width, pixels)
    return azimuthal_mean(*filtered_sheet_field(light, step, sigma_k, beta), step, galaxy.radius)


WS = Model(
    key="ws",
    title="WS (line source)",
    amplitude_unit="1/kpc",
    points=tuple({"softening_kpc": softening} for softening in (0.4, 0.6, 1.0)),
    field=ws_field,
)
PHIETA = Model(
    key="phieta",
    title="Φη (filtered potential)",
    amplitude_unit="Msun/Lsun",
    points=tuple(
        {"sigma_k_per_kpc": sigma_k, "beta": beta} for sigma_k in (0.05, 0.1, 0.2, 0.4) for beta in (0.0, 0.3, 0.6)
    ),
    field=phieta_field,
)
MODELS = {model.key: model for model in (WS, PHIETA)}
