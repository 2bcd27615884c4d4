"""What sharing the cost of care does to visits to the doctor, by an exact Bayesian regression."""
