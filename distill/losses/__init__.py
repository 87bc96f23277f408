"""Loss terms: pure functions with one value per sample, thin modules around them, and the objective that sums them."""
