"""Rotation-curve fits of six galaxies: the code that the example scripts share.

An example workload for a job launcher, chosen because it is short to state, real to compute and hungry for memory.
It makes no claim about gravity.

Words used throughout:

radius       R, galactocentric, kpc
acceleration centripetal, inward positive, (km/s)²/kpc
M/L          mass-to-light ratio of the stellar disk at 3.6 µm, solar units
field        the acceleration that a model adds, for an amplitude of 1
point        one choice of a model's nonlinear parameters (a node of its parameter grid)
target       observed acceleration minus that of the gas: what stars and field have to explain
whitened     divided by the standard error of the acceleration, so that errors have unit variance
"""
