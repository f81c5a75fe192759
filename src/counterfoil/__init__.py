"""Counterfoil: serve, pull and reconcile Microsoft partner billing data, exact to the last digit."""
