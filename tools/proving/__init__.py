"""Proofs that the networks and the module learn: a few real images, from random weights."""
