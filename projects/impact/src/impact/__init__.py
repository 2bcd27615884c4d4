"""How sharing the cost of care affects visits to the doctor, by an exact Bayesian regression."""
